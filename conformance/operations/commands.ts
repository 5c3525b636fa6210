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
    text: `Installs podnic where the runtime looks for plugins. The node's Go plugins are kept for \`podnic uninstall\`. Running plugins are not
affected, and no plugin is missing or incomplete at any time.`,
    command: "podnic install --backup /opt/cni/bin",
  },
  {
    title: "podnic devices",
    text: "Lists the network devices, and which pod has each of them.",
    command: "podnic devices",
  },
  {
    title: "podnic leases",
    text: `Lists host-local's pools, and shows whether the holder of each address still exists. A lease contains only a container ID; podnic finds out
the rest from records, namespaces and their addresses, libcni's cache and the runtime's directories.`,
    command: "podnic leases",
  },
  {
    title: "podnic status",
    text: "Shows the node on one screen: first what needs attention, then one line for each part. Without root, it shows only some parts.",
    command: "podnic status",
  },
  {
    title: "podnic doctor",
    text: "Checks whether the node is ready for its plugins. Each finding says what to do about it.",
    command: "podnic doctor",
  },
  {
    title: "podnic gc",
    text: "Cleans up after a network's deleted pods. `--dry-run` only lists what would be done.",
    command: "podnic gc fast --dry-run",
  },
  {
    title: "podnic gc, for real",
    text: "Pod grey's virtual function gets its original name, MAC and VLAN back.",
    command: "podnic gc fast && podnic devices",
  },
  {
    title: "podnic doctor --fix",
    text: "Cleans up after the deleted pods of all networks. It shows what it would do, and asks first; without a terminal, it requires `--yes`.",
    command: "podnic doctor --fix --yes",
  },
  {
    title: "podnic validate",
    text: `Shows what is wrong with a configuration, where, and what to write instead. It changes nothing and does not need root.
[validate.md](validate.md) shows forty broken files.`,
    command: "podnic validate /etc/cni/net.d/*",
  },
  {
    title: "podnic explain",
    text: "Shows what an ADD would do, in this example for a new pod on the free virtual function. It changes nothing; the function stays free.",
    before: newPod,
    command: "podnic explain new.conf --netns new --ifname net1",
  },
  {
    title: "podnic explain, when it would fail",
    text: "It shows the error that the runtime would get.",
    command: "podnic explain /etc/cni/net.d/10-fast.conflist --netns new --ifname net1",
  },
  {
    title: "podnic add",
    text: "Adds a network by hand, like cnitool. `--trace` shows every netlink message on stderr; this example shows only those that change something.",
    command:
      "podnic add new new --conf-dir . --ifname net1 --trace 2>trace; grep '^>  ip .*\\(set\\|add\\|prepend\\) ' trace",
  },
  {
    title: "podnic check",
    text: "Prints nothing if nothing has changed since ADD.",
    command:
      "podnic check new new --conf-dir . --ifname net1; ip -n new link set net1 down; podnic check new new --conf-dir . --ifname net1",
  },
  {
    title: "podnic del",
    text: "This example shows one message of the trace in full.",
    command: "podnic del new new --conf-dir . --ifname net1 --trace 2>&1 | sed -n '/^>  ip .*netns 1/,/^</p'",
  },
  {
    title: "podnic schema",
    text: "Prints JSON Schemas for editors. Each is a single document.",
    command: "podnic schema && podnic schema conflist | head -5",
  },
  {
    title: "podnic completion",
    text: "Prints the completion script for bash, zsh or fish.",
    command: "podnic completion fish | head -5",
  },
  {
    title: "podnic uninstall",
    text: "Removes podnic's files, and restores the plugins that they replaced. Pods keep running.",
    command: "podnic uninstall /opt/cni/bin",
  },
];
