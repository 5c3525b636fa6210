import type { Verb, Wanted } from "./tree.ts";

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Escapes a text for _arguments, in which colons and brackets have a meaning. */
function plain(text: string): string {
  return text.replaceAll(":", "\\:").replaceAll("[", "(").replaceAll("]", ")");
}

function action(wanted: Wanted): string {
  if (wanted === "file") return "_files";
  if (wanted === "directory") return "_files -/";
  if (wanted === "netns") return "_files -W /run/netns";
  return wanted === "anything" ? " " : `(${wanted.words.join(" ")})`;
}

/** The zsh script, for a directory of $fpath or `source`. */
export function zsh(verbs: Verb[]): string {
  const commands = verbs.map(({ name, description }) => `    ${quote(`${name}:${plain(description)}`)}`);
  const cases = verbs.map(({ name, switches, arguments: list }) => {
    const options = switches.flatMap(({ flags, description, value }) => {
      const others = flags.length > 1 ? `(${flags.join(" ")})` : "";
      const tail = value === undefined ? "" : `:value:${action(value)}`;
      return flags.map((flag) => quote(`${others}${flag}[${plain(description)}]${tail}`));
    });
    const positions = list.map(({ name, wanted, repeats }, i) =>
      quote(`${repeats ? "*" : i + 1}:${name}:${action(wanted)}`),
    );
    return `    ${name}) _arguments ${[...options, ...positions].join(" \\\n      ")} ;;`;
  });
  return `#compdef podnic
# zsh completion of podnic: podnic completion zsh >_podnic in a directory of $fpath, or source <(podnic completion zsh)
_podnic() {
  local -a verbs
  verbs=(
${commands.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command verbs
    return
  fi
  local verb=$words[2]
  shift words
  (( CURRENT-- ))
  case $verb in
${cases.join("\n")}
  esac
}
if [[ $funcstack[1] == _podnic ]]; then _podnic "$@"; else compdef _podnic podnic; fi
`;
}
