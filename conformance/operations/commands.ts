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
    title: "podnic uninstall",
    text: "Removes what is podnic's, and puts back what was there before. Pods keep running.",
    command: "podnic uninstall /opt/cni/bin",
  },
];
