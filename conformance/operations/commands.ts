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

/** Install comes first and uninstall last; what changes the node comes behind what looks at it. */
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
    text: `Pools of host-local, and whether who holds an address still exists. A lease itself names a container only; records, namespaces, the
addresses in them, what libcni remembers and the runtime's own directories tell the rest.`,
    command: "podnic leases",
  },
  {
    title: "podnic doctor",
    text: "Is the node fit for its plugins, and what is wrong on it? Each finding comes with its cure.",
    command: "podnic doctor",
  },
  {
    title: "podnic gc",
    text: "Takes away what pods of a network left whose namespace is gone, first only in words.",
    command: "podnic gc --network fast --dry-run",
  },
  {
    title: "podnic gc, in earnest",
    text: "The virtual function of pod grey gets its name, its address and its VLAN back.",
    command: "podnic gc --network fast && podnic devices",
  },
  {
    title: "podnic doctor --fix",
    text: "The same for all networks: shows what it would do, and asks. Without a terminal it wants `--yes`.",
    command: "podnic doctor --fix --yes",
  },
  {
    title: "podnic uninstall",
    text: "Removes what is podnic's, and puts back what was there before. Pods keep running.",
    command: "podnic uninstall /opt/cni/bin",
  },
];
