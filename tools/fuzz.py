"""`make fuzz`: look for what breaks a target of `fuzz_targets`, guided by the coverage it has.

    python tools/fuzz.py body 300

What is worth another look is kept in .fuzz/ for the next time, a finding as well.
"""

from __future__ import annotations

import gc
import os
import random
import sys
from pathlib import Path

import atheris

WATCHED = ("check_cqd_integration", "requests", "urllib3", "http", "email", "json", "spnego")

with atheris.instrument_imports(include=WATCHED):
    from fuzz_targets import TARGETS, TIMESTAMP, WORDS, any_timestamp

    import check_cqd_integration.auth.pyspnego
    import check_cqd_integration.check
    import check_cqd_integration.portal.client  # noqa: F401


def main() -> None:
    name, seconds = sys.argv[1:]
    target, seeds = TARGETS[name]
    folder = Path(".fuzz", name)
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    words = folder / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in WORDS))

    def one_input(data: bytes) -> None:
        try:
            target(data)
        except BaseException:
            print(
                f"\nA finding. To keep it as a case of `make test`, once it is understood:\n"
                f"mv {folder}/crash-... tests/data/fuzz/{name}-WHAT-IT-IS\n",
                file=sys.stderr,
            )
            raise

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what `--input -` reads
    gc.freeze()
    atheris.enabled_hooks.add("str")
    limits = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=60", "-print_final_stats=1"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-dict={words}", f"-artifact_prefix={folder}/", str(corpus)],
        one_input,
        custom_mutator=_mutated,
    )
    atheris.Fuzz()


def _mutated(data: bytes, max_size: int, seed: int) -> bytes:
    """Return the data with another timestamp in place of one: bytes hardly ever become one."""
    chance = random.Random(seed)
    found = list(TIMESTAMP.finditer(data))
    if not found or chance.random() < 0.5:
        mutated: bytes = atheris.Mutate(data, max_size)
        return mutated
    start, end = chance.choice(found).span()
    return data[:start] + any_timestamp(chance) + data[end:]


def _escaped(word: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word.encode())


if __name__ == "__main__":
    main()
