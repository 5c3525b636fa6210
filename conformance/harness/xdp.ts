// A program of XDP without a compiler for one: `perl -e XDP_DROP IFINDEX` has the interface of this namespace drop all it receives.

/** bpf(BPF_PROG_LOAD) of "r0 = XDP_DROP; exit", then RTM_NEWLINK with IFLA_XDP {fd, skb mode}. x86-64. */
export const XDP_DROP = `
use Socket;
my $code = pack("CCsl CCsl", 0xb7, 0, 0, 1, 0x95, 0, 0, 0);
my $license = "GPL\\0";
my $attr = pack("LLQQLLQLL", 6, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license)), 0, 0, 0, 0, 0) . "\\0" x 80;
my $fd = syscall(321, 5, $attr, length $attr);
die "bpf: $!" if $fd < 0;
my $xdp = pack("SSl SSL", 8, 1, $fd, 8, 3, 2);
my $body = pack("CxSlLL", 0, 0, $ARGV[0], 0, 0) . pack("SS", 4 + length $xdp, 43 | 0x8000) . $xdp;
my $message = pack("LSSLL", 16 + length $body, 16, 5, 1, 0) . $body;
socket(my $s, 16, SOCK_RAW, 0) or die "socket: $!";
syswrite($s, $message) or die "send: $!";
sysread($s, my $answer, 4096);
my $errno = -unpack("x16l", $answer);
die "xdp: errno $errno" if $errno;
`;
