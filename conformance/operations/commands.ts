// What docs/operations.md shows, in its order: one row a command, run on the node that node.ts makes.

export interface Shown {
  title: string;
  /** Markdown above the command. */
  text: string;
  /** For the shell, as a person types it; podnic is in PATH. Its output and its exit status are shown. */
  command: string;
  /** Run before it and not shown. */
  before?: string;
}

/** A pod that has nothing yet, and a network for it on the virtual function that is free. */
const newPod = `ip netns add new
cat >/root/new.conf <<END
{
  "cniVersion": "1.0.0",
  "name": "new",
  "type": "sriov",
  "deviceID": "0000:01:10.6",
  "vlan": 200,
  "ipam": { "type": "static", "addresses": [{ "address": "203.0.113.5/24" }], "routes": [{ "dst": "0.0.0.0/0", "gw": "203.0.113.1" }] }
}
END`;

/**
 * Install comes first and uninstall last. What changes the node comes behind what looks at it, and the new pod behind them: its
 * namespace may get the inode of the one that is gone.
 */
export const shown: readonly Shown[] = [
  {
    title: "podnic install",
    text: `Puts podnic where the runtime looks for plugins. The Go plugins of this node are kept for \`podnic uninstall\`. Running plugins are not
disturbed, and at no time is a name missing or a file incomplete.`,
    command: "podnic install --backup /opt/cni/bin",
  },
  {
    title: "podnic devices",
    text: "Which network devices there are, and which pod has them.",
    command: "podnic devices",
  },
  {
    title: "podnic leases",
    text: `Shows host-local's pools and whether each address's holder still exists. A lease names only a container; records, namespaces and their
addresses, libcni's cache and the runtime's own directories tell the rest.`,
    command: "podnic leases",
  },
  {
    title: "podnic status",
    text: "The node on one screen: what needs attention first, then one line for each part. Works without root as far as it can.",
    command: "podnic status",
  },
  {
    title: "podnic doctor",
    text: "Checks whether the node is ready for its plugins. Each finding comes with its cure.",
    command: "podnic doctor",
  },
  {
    title: "podnic gc",
    text: "Removes what a network's dead pods left behind. `--dry-run` only lists it.",
    command: "podnic gc fast --dry-run",
  },
  {
    title: "podnic gc, for real",
    text: "Pod grey's virtual function gets its name, MAC and VLAN back.",
    command: "podnic gc fast && podnic devices",
  },
  {
    title: "podnic doctor --fix",
    text: "The same for all networks: shows what it would do, and asks. Without a terminal it requires `--yes`.",
    command: "podnic doctor --fix --yes",
  },
  {
    title: "podnic validate",
    text: `What is wrong with a configuration, where, and what to write instead. It touches nothing and needs no root.
[validate.md](validate.md) shows forty broken files.`,
    command: "podnic validate /etc/cni/net.d/*",
  },
  {
    title: "podnic explain",
    text: "What an ADD would do here and now, here for a new pod on the free virtual function. Nothing is done: it is as free as before.",
    before: newPod,
    command: "podnic explain new.conf --netns new --ifname net1",
  },
  {
    title: "podnic explain, when it would fail",
    text: "It says what the runtime would get to read.",
    command: "podnic explain /etc/cni/net.d/10-fast.conflist --netns new --ifname net1",
  },
  {
    title: "podnic add",
    text: "A network by hand, as cnitool does it. `--trace` shows every netlink message on stderr; here only those that change something.",
    command:
      "podnic add new new --conf-dir . --ifname net1 --trace 2>trace; grep '^>  ip .*\\(set\\|add\\|prepend\\) ' trace",
  },
  {
    title: "podnic check",
    text: "Prints nothing if everything is as ADD left it.",
    command:
      "podnic check new new --conf-dir . --ifname net1; ip -n new link set net1 down; podnic check new new --conf-dir . --ifname net1",
  },
  {
    title: "podnic del",
    text: "One of the messages of the trace in full.",
    command: "podnic del new new --conf-dir . --ifname net1 --trace 2>&1 | sed -n '/^>  ip .*netns 1/,/^</p'",
  },
  {
    title: "podnic schema",
    text: "JSON Schemas for editors, each in one piece.",
    command: "podnic schema && podnic schema conflist | head -5",
  },
  {
    title: "podnic completion",
    text: "For bash, zsh and fish.",
    command: "podnic completion fish | head -5",
  },
  {
    title: "podnic uninstall",
    text: "Removes what is podnic's, and puts back what was there before. Pods keep running.",
    command: "podnic uninstall /opt/cni/bin",
  },
];
