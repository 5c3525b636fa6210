// Determines whether a pod may still have the device of a damaged record. podnic removes a damaged record only if this is impossible, because
// without the record, DEL of the attachment succeeds and leaves the device in the pod.
import { IFF_LOOPBACK } from "../../link/link.ts";
import { whatIsAt } from "../../link/namespace.ts";
import type { LoanData } from "../../plugin/lent/lender.ts";
import { FALLBACK, readRest } from "../../plugin/lent/unreadable.ts";
import { aliasPrefix } from "../../plugin/upper/own.ts";
import type { Damaged } from "../../state/record.ts";
import type { Inside } from "./inside.ts";
import type { SeenNamespace } from "./namespaces.ts";
import type { Node } from "./node.ts";

/** The device's name on the host, if this part of the record is intact. ADD also writes this name into the device's alias. */
const NAME = /"(?:was|link)":\{"name":("(?:[^"\\]|\\.)*")/;

/** Maximum number of interfaces that a message lists. */
const MOST_NAMES = 5;

type Looked = Pick<Node, "namespaces" | "holders" | "insides" | "blind" | "cache">;

export class DamagedRecords {
  readonly #node: Looked;
  /** The paths of the pod's namespace in libcni's cache, by attachment. */
  readonly #kept = new Map<string, string[]>();
  /** The names of interfaces that may be lent devices, by namespace. Omits namespaces without such interfaces. */
  readonly #suspects = new Map<SeenNamespace, string[]>();
  /** A description of the interface that has this alias. */
  readonly #aliases = new Map<string, string>();

  constructor(node: Looked) {
    this.#node = node;
    for (const { network, containerId, ifName, namespaces } of node.cache)
      this.#kept.set(`${network} ${containerId} ${ifName}`, namespaces);
    const lent = new Set(node.holders.map(({ key, netns }) => linkKey(netns, key.ifName)));
    for (const inside of node.insides) {
      const links = suspectsIn(inside, lent);
      const names = links.map(({ name }) => name);
      if (names.length > 0) this.#suspects.set(inside.namespace, names);
      for (const { name, alias } of links)
        if (alias !== "") this.#aliases.set(alias, inWords(inside.namespace, [name]));
    }
  }

  /** Why a pod may have the device; "" if it is certain that none has it. */
  doubt(found: Damaged): string {
    const { isPast, netns } = readRest(found);
    // `isPast` comes from the record's contents. The file's time proves nothing, because the file may come from a backup.
    if (isPast) return "";
    const said = found.key && this.#kept.get(`${found.key.network} ${found.key.containerId} ${found.key.ifName}`);
    const pods = (said ?? []).map((path) => ({ path, dev: 0, ino: 0 }));
    if (netns !== undefined) pods.unshift(netns);
    for (const pod of pods) {
      const doubt = this.#doubtOf(pod);
      if (doubt !== "") return doubt;
    }
    const [, name] = NAME.exec(found.text) ?? [];
    const moved = name === undefined ? undefined : this.#aliases.get(textOf(name));
    if (moved !== undefined) return moved;
    // The pod may have moved the device to a namespace that podnic cannot enter.
    const [blind] = this.#node.blind;
    const unseen = blind === undefined ? "" : `podnic cannot look into ${blind}`;
    if (pods.length > 0) return unseen;
    // Nothing tells which pod had the device, so any suspect in any pod may be the device.
    for (const [namespace, names] of this.#suspects) return inWords(namespace, names);
    return this.#node.namespaces.seesProcesses ? unseen : "podnic cannot see all pods";
  }

  #doubtOf(pod: LoanData["netns"]): string {
    const life = this.#node.namespaces.lifeOf(pod);
    if (life === "gone") return "";
    const at = pod.ino === 0 ? whatIsAt(pod.path) : pod;
    const inside = this.#node.insides.find(
      ({ namespace }) => typeof at === "object" && namespace.dev === at.dev && namespace.ino === at.ino,
    );
    if (life === "unknown" || inside === undefined) return `podnic cannot see into ${pod.path}`;
    const names = this.#suspects.get(inside.namespace);
    return names === undefined ? "" : inWords(inside.namespace, names);
  }
}

/** The links that belong neither to another record nor to another of podnic's plugins. */
function suspectsIn({ namespace, links }: Inside, lent: Set<string>): Inside["links"] {
  return links.filter(
    ({ name, flags, alias }) =>
      (flags & IFF_LOOPBACK) === 0 &&
      !FALLBACK.test(name) &&
      !alias.startsWith(aliasPrefix) &&
      !lent.has(linkKey(namespace, name)),
  );
}

const linkKey = ({ dev, ino }: { dev: number; ino: number }, name: string): string => `${dev}:${ino} ${name}`;

function inWords({ path }: SeenNamespace, names: string[]): string {
  const shown = names.slice(0, MOST_NAMES).join(", ");
  return `${names.length > 1 ? "one of " : ""}${shown}${names.length > MOST_NAMES ? ", ..." : ""} in ${path} might be its device`;
}

function textOf(json: string): string {
  try {
    return JSON.parse(json) as string;
  } catch {
    return "";
  }
}
