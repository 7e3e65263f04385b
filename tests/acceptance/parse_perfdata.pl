# Parse perfdata as graphing programs do, by a module that is not ours.
#
#     perl parse_perfdata.pl PERFDATA
#
# Prints JSON: for each item label, value, uom, warning, critical, min, max, the item as the module
# would write it (text), and the state that its thresholds give its value (state).
use strict;
use warnings;
use JSON::PP;
use Monitoring::Plugin::Performance;

my @items = map {
    my $item = $_;
    +{
        (map { $_ => $item->$_ } qw(label value uom warning critical min max)),
        text  => $item->perfoutput,
        state => $item->threshold->get_status($item->value),
    }
} Monitoring::Plugin::Performance->parse_perfstring($ARGV[0]);
print JSON::PP->new->canonical->encode(\@items);
