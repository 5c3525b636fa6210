// Detects two files in one directory that define networks with the same name. A runtime reads only one of them, and users easily overlook
// which one.
import { asRead } from "../runtime/networks.ts";

interface File {
  file: string;
  networks: { name: string }[];
}

interface SameName {
  /** The file that the runtime does not read. */
  file: string;
  name: string;
  /** The file that the runtime reads, because it comes first. */
  other: string;
}

/** Compares only files that a runtime reads. In manifests, names can repeat, because objects belong to different Kubernetes namespaces. */
export function sameNames(files: File[]): SameName[] {
  const first = new Map<string, string>();
  const found: SameName[] = [];
  for (const { file, networks } of asRead(files)) {
    for (const { name } of networks) {
      const key = `${file.slice(0, file.lastIndexOf("/") + 1)} ${name}`;
      const other = first.get(key);
      if (other === undefined) first.set(key, file);
      else if (name !== "" && other !== file) found.push({ file, name, other });
    }
  }
  return found;
}

/** The problem and its cure, in words. */
export function sameNameInWords(name: string, other: string): [found: string, cure: string] {
  return [
    `network "${name}" is also in ${other}, which comes first, so podnic and the runtime use that file`,
    "Give each network its own name. Leases and other state are stored under that name.",
  ];
}
