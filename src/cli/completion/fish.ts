import type { Verb, Wanted } from "./tree.ts";

function quote(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

/** The options of fish's `complete` for a value. Without -F, fish does not offer files. */
function candidates(wanted: Wanted): string {
  if (wanted === "file") return "-F";
  if (wanted === "directory") return "-a '(__fish_complete_directories)'";
  if (wanted === "netns") return "-a '(ls /run/netns 2>/dev/null)'";
  return wanted === "anything" ? "" : `-a ${quote(wanted.words.join(" "))}`;
}

/** The fish script, for ~/.config/fish/completions or `source`. */
export function fish(verbs: Verb[]): string {
  const lines = verbs.flatMap(({ name, description, switches, arguments: list }) => {
    const here = `complete -c podnic -n '__fish_seen_subcommand_from ${name}'`;
    const options = switches.map(({ flags, description, value }) => {
      const names = flags.map((flag) => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
      const takes = value === undefined ? "" : ` -r ${candidates(value)}`.trimEnd();
      return `${here} ${names.join(" ")} -d ${quote(description)}${takes}`;
    });
    const words = list.flatMap(({ wanted }) => (candidates(wanted) === "" ? [] : [`${here} ${candidates(wanted)}`]));
    return [`complete -c podnic -n __fish_use_subcommand -a ${name} -d ${quote(description)}`, ...options, ...words];
  });
  return `# fish completion of podnic: podnic completion fish | source
complete -c podnic -f
${lines.join("\n")}
`;
}
