// Two files of one directory that define a network of one name: a runtime reads one of them, and which one is easily overlooked.

interface File {
  file: string;
  networks: { name: string }[];
}

export interface SameName {
  /** The later one in lexical order. */
  file: string;
  name: string;
  /** The first. */
  other: string;
}

/** Manifests hold one object beside the other, in namespaces of Kubernetes: only files that a runtime reads are compared. */
export function sameNames(files: File[]): SameName[] {
  const first = new Map<string, string>();
  const found: SameName[] = [];
  const read = files.filter(({ file }) => [".conflist", ".conf", ".json"].some((ending) => file.endsWith(ending)));
  for (const { file, networks } of read.sort((a, b) => (orderOf(a.file) < orderOf(b.file) ? -1 : 1))) {
    for (const { name } of networks) {
      const key = `${file.slice(0, file.lastIndexOf("/") + 1)} ${name}`;
      const other = first.get(key);
      if (other === undefined) first.set(key, file);
      else if (name !== "" && other !== file) found.push({ file, name, other });
    }
  }
  return found;
}

/** Lists come before single configurations, as libcni looks for a name. */
function orderOf(file: string): string {
  return `${file.endsWith(".conflist") ? 0 : 1}${file}`;
}

/** What is wrong, and what to do. */
export function sameNameInWords(name: string, other: string): [found: string, cure: string] {
  return [
    `network "${name}" is also in ${other}, which comes first: podnic and the runtime use that file`,
    "Give each network its own name. Leases and other state are kept under it.",
  ];
}
