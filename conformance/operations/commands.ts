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
    text: `This command installs podnic in the directory where the runtime looks for plugins, and keeps copies of the node's Go plugins, which
\`podnic uninstall\` restores. Running plugins are not affected, and no plugin is missing or incomplete at any time.`,
    command: "podnic install --backup /opt/cni/bin",
  },
  {
    title: "podnic devices",
    text: "This command lists the network devices and the pods that have them.",
    command: "podnic devices",
  },
  {
    title: "podnic leases",
    text: `This command lists host-local's pools, and shows whether the container that holds each address still exists. A lease contains only a container ID
and an interface name. podnic gets the other details from its records, from the interfaces and addresses in network namespaces, from libcni's cache and from
the runtime's directories.`,
    command: "podnic leases",
  },
  {
    title: "podnic status",
    text: "This command shows a summary of the node: first the problems, then one line for each area. Without root, it shows only some areas.",
    command: "podnic status",
  },
  {
    title: "podnic doctor",
    text: "This command checks whether the node is ready for the plugins. For each problem, it shows how to fix it.",
    command: "podnic doctor",
  },
  {
    title: "podnic gc",
    text: "This command cleans up after a network's deleted pods. With `--dry-run`, it only lists what it would do.",
    command: "podnic gc fast --dry-run",
  },
  {
    title: "podnic gc, without --dry-run",
    text: "Without `--dry-run`, the command releases the deleted pod's lease, and restores the original name, MAC and VLAN of its virtual function.",
    command: "podnic gc fast && podnic devices",
  },
  {
    title: "podnic doctor --fix",
    text: "With `--fix`, the command cleans up after the deleted pods of all networks. It first shows what it would do and asks for confirmation. Without a terminal, it requires `--yes`.",
    command: "podnic doctor --fix --yes",
  },
  {
    title: "podnic validate",
    text: `For each error in a configuration, this command shows the position of the error and how to correct it. The command changes nothing and does not need root. It also
checks the addresses that static or host-local would return, for example whether the bridge can be the gateway for them. If the node's policy, or addresses that the
runtime passes, could make the ADD succeed, the command reports a warning instead of an error. It does not report routes that only the kernel refuses, such as a route
with a gateway and \`"scope": 253\`.
[validate.md](validate.md) shows the output of this command for forty invalid files.`,
    command: "podnic validate /etc/cni/net.d/*",
  },
  {
    title: "podnic explain",
    text: `This command shows what an ADD would do. In this example, the ADD would give the free virtual function to a new pod. The command changes nothing, so the function
stays free.`,
    before: newPod,
    command: "podnic explain new.conf --netns new --ifname net1",
  },
  {
    title: "podnic explain, when it would fail",
    text: "If the ADD would fail, the command shows the error that the runtime would get.",
    command: "podnic explain /etc/cni/net.d/10-fast.conflist --netns new --ifname net1",
  },
  {
    title: "podnic add",
    text: `This command attaches a network to a namespace by hand, as cnitool does. \`--trace\` prints every netlink message on stderr. The example shows only
the messages that change something.`,
    command:
      "podnic add new new --conf-dir . --ifname net1 --trace 2>trace; grep '^>  ip .*\\(set\\|add\\|prepend\\) ' trace",
  },
  {
    title: "podnic check",
    text: `This command checks an attachment. If nothing has changed since the ADD, it prints only the path of the configuration, on stderr. In this example,
the interface is down at the second check.`,
    command:
      "podnic check new new --conf-dir . --ifname net1; ip -n new link set net1 down; podnic check new new --conf-dir . --ifname net1",
  },
  {
    title: "podnic del",
    text: "The following command detaches a network. The example shows one message of the trace in full.",
    command: "podnic del new new --conf-dir . --ifname net1 --trace 2>&1 | sed -n '/^>  ip .*netns 1/,/^</p'",
  },
  {
    title: "podnic schema",
    text: "This command prints JSON Schemas for editors. Each schema is a single document.",
    command: "podnic schema && podnic schema conflist | head -5",
  },
  {
    title: "podnic completion",
    text: "This command prints the completion script for bash, zsh or fish.",
    command: "podnic completion fish | head -5",
  },
  {
    title: "podnic uninstall",
    text: "This command removes podnic's files and restores the plugins that they replaced. Running pods are not affected.",
    command: "podnic uninstall /opt/cni/bin",
  },
];
