# Fetches by Net::POP3 what has not been fetched before: fetch.pl tls|stls keep|delete HOST CA-FILE.
#
# The user's name and the password come on two lines. Messages go to ~/Maildir, their unique-ids to ~/uids.
use strict;
use warnings;
use Net::POP3;

my ($mode, $what, $host, $authority) = @ARGV;
chomp(my ($user, $password) = <STDIN>);
my %known;
if (open my $file, '<', "$ENV{HOME}/uids") {
    chomp(my @uids = <$file>);
    @known{@uids} = ();
}

my @tls = (SSL_ca_file => $authority);
my $pop = Net::POP3->new($host, Timeout => 30, $mode eq 'tls' ? (SSL => 1, @tls) : ()) or die "cannot connect: $@\n";
if ($mode eq 'stls') {
    $pop->starttls(@tls) or die "no TLS: $@\n";
}
defined $pop->login($user, $password) or die 'login: ', $pop->message;
my $sizes = $pop->list or die 'LIST: ', $pop->message;
my $octets = 0;
$octets += $_ for values %$sizes;
print scalar(keys %$sizes), " messages, $octets octets\n";
my $uids = $pop->uidl or die 'UIDL: ', $pop->message;
for my $number (sort { $a <=> $b } keys %$uids) {
    fetch($number) unless exists $known{$uids->{$number}};
    if ($what eq 'delete') {
        $pop->delete($number) or die "DELE $number: ", $pop->message;
    }
}
$pop->quit or die 'QUIT: ', $pop->message;

sub fetch {
    my ($number) = @_;
    open my $message, '>', "$ENV{HOME}/Maildir/new/$uids->{$number}" or die $!;
    $pop->get($number, $message) or die "RETR $number: ", $pop->message;
    close $message or die $!;
    open my $file, '>>', "$ENV{HOME}/uids" or die $!;
    print $file "$uids->{$number}\n";
    close $file or die $!;
}
