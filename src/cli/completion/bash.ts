import type { Verb, Wanted } from "./tree.ts";

/** A command that fills COMPREPLY with the candidates for the word under the cursor. */
function candidates(wanted: Wanted): string {
  if (wanted === "file") return `mapfile -t COMPREPLY < <(compgen -f -- "$cur"); compopt -o filenames 2>/dev/null`;
  if (wanted === "directory") return `mapfile -t COMPREPLY < <(compgen -d -- "$cur"); compopt -o filenames 2>/dev/null`;
  if (wanted === "netns") return `mapfile -t COMPREPLY < <(compgen -W "$(ls /run/netns 2>/dev/null)" -- "$cur")`;
  if (wanted === "anything") return ":";
  return `mapfile -t COMPREPLY < <(compgen -W "${wanted.words.join(" ")}" -- "$cur")`;
}

/** The bash script, for `source`. */
export function bash(verbs: Verb[]): string {
  const withValue = [
    ...new Set(
      verbs.flatMap(({ switches }) =>
        switches.filter((each) => each.value !== undefined).flatMap((each) => each.flags),
      ),
    ),
  ];
  const values = verbs.flatMap(({ name, switches }) =>
    switches.flatMap(({ flags, value }) =>
      value === undefined
        ? []
        : [
            `    ${flags.map((flag) => `"${name} ${flag}"`).join("|")}) ${[candidates(value), "return"].filter((part) => part !== ":").join("; ")} ;;`,
          ],
    ),
  );
  const words = verbs.flatMap(({ name, switches, arguments: list }) => [
    `    ${name})`,
    `      if [[ $cur == -* ]]; then ${candidates({ words: switches.flatMap(({ flags }) => flags) })}; return; fi`,
    ...(list.length === 0 ? [] : ["      case $position in"]),
    ...list.map(({ wanted, repeats }, i) => `        ${repeats ? "*" : i}) ${candidates(wanted)} ;;`),
    ...(list.length === 0 ? [] : ["      esac"]),
    "      ;;",
  ]);
  return `# bash completion of podnic: source <(podnic completion bash)
_podnic() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} verb="" position=0 i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${withValue.join("|") || "--"}) ((i++)) ;;
      -*) ;;
      *) if [[ -z $verb ]]; then verb=\${COMP_WORDS[i]}; else ((position++)); fi ;;
    esac
  done
  case "$verb $prev" in
${values.join("\n")}
  esac
  case $verb in
    "") ${candidates({ words: [...verbs.map(({ name }) => name), "--help", "--version"] })} ;;
${words.join("\n")}
  esac
}
complete -F _podnic podnic
`;
}
