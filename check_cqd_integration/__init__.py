"""Check how stale the data of a Call Quality Dashboard (CQD) are, and how its pipeline fares.

The rooms of this house; a lower one never imports a higher one::

    cli         the door: runs the check, prints, returns 0 to 3, whatever happens
    check       puts the rooms below together
    options     the command line -> checked values
    summary     results -> the line and the long output (nagiosplugin Summary)
    timeline    pipeline + limits -> the chart of what ran when, and all stamps; pure
    contexts    metric -> grade (nagiosplugin Contexts)
    resource    answer + clock -> metrics (nagiosplugin Resource)
    portal      one request to the portal -> Answer; with transport the only room to know requests
    transport   the way to the portal: TLS, the steps, what their errors mean
    auth        what to log in with, and the choice of one scheme
    kerberos    the handshake of that scheme; entered only if it is chosen
    ntlm        likewise
    binding     ties a login to its TLS connection
    saved       a file or standard input -> Answer
    entries     bytes of the portal's own log -> its entries, and which are shown
    hints       what the stamps of a pipeline in trouble point to
    pipeline    stamps + clock + zone -> ages, streaks, runs in progress; pure
    zones       a name, TZ or /etc/localtime -> the zone of the portal's stamps
    status      bytes -> stamps of the two stages; pure: no clock, no network
    answer      what portal and saved hand over, and how much of it is read at most
    deadline    the limit of -t around whatever may hang
    output      what may be printed: ASCII without bars, a line of at most 200 characters
    durations   "1h30m" <-> seconds, Nagios ranges of durations
    errors      what can go wrong, each with its state
"""

__version__ = "0.1.0"
