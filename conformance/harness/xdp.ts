// Programs of BPF without a compiler for them: `perl -e XDP_DROP IFINDEX` has the interface of this namespace drop all it receives.

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

/**
 * `perl -e BPF_DROP IFINDEX TYPE [hold]`: the same by bpf(2) alone, as BPF_XDP (37), BPF_TCX_INGRESS (46) or BPF_TCX_EGRESS (47). "hold": through a
 * link, which a child that goes on for 5 seconds has open.
 */
export const BPF_DROP = `
my ($index, $type, $hold) = @ARGV;
my $code = pack("CCsl CCsl", 0xb7, 0, 0, $type == 37 ? 1 : 2, 0x95, 0, 0, 0);
my $license = "GPL\\0";
my $attr = pack("LLQQLLQLLx16LL", $type == 37 ? 6 : 3, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license)), 0, 0, 0, 0, 0, 0, $type) . "\\0" x 56;
my $fd = syscall(321, 5, $attr, length $attr);
die "bpf: $!" if $fd < 0;
my $to = $hold ? pack("LLLL", $fd, $index, $type, $type == 37 ? 2 : 0) : pack("LLLL", $index, $fd, $type, 0);
$to .= "\\0" x 48;
my $link = syscall(321, $hold ? 28 : 8, $to, length $to);
die "attach: $!" if $link < 0;
if ($hold && fork == 0) { close STDIN; close STDOUT; close STDERR; sleep 5; exit }
`;

/** `perl -e BPF_TCX IFINDEX`: how many programs of tcx there are, in both directions. Fails where the kernel has no tcx. */
export const BPF_TCX = `
for my $type (46, 47) {
  my $attr = pack("LL", $ARGV[0], $type) . "\\0" x 56;
  syscall(321, 16, $attr, length $attr) < 0 and die "query: $!";
  $count += unpack("x24L", $attr);
}
print "$count\\n";
`;

/**
 * `perl -e BPF_TWICE IFINDEX NETNS`: one program, by a link on the interface of this namespace, and by another on that of NETNS with the same index.
 * A child that goes on for 5 seconds has both open.
 */
export const BPF_TWICE = `
my ($index, $netns) = @ARGV;
my $code = pack("CCsl CCsl", 0xb7, 0, 0, 1, 0x95, 0, 0, 0);
my $license = "GPL\\0";
my $attr = pack("LLQQLLQLLx16LL", 6, 2, unpack("Q", pack("P", $code)), unpack("Q", pack("P", $license)), 0, 0, 0, 0, 0, 0, 37) . "\\0" x 56;
my $fd = syscall(321, 5, $attr, length $attr);
die "bpf: $!" if $fd < 0;
for my $there (0, 1) {
  if ($there) { open(my $ns, "<", $netns) or die; syscall(308, fileno($ns), 0x40000000) == 0 or die "setns: $!" }
  my $to = pack("LLLL", $fd, $index, 37, 2) . "\\0" x 48;
  syscall(321, 28, $to, length $to) < 0 and die "attach: $!";
}
if (fork == 0) { close STDIN; close STDOUT; close STDERR; sleep 5; exit }
`;
