// Files in place of records that cannot be read: whether a pod may still have the device that such a record was about. Only what is proven to be
// past may be removed, because DEL of the attachment succeeds without the record, and the device stays where it is.
import { IFF_LOOPBACK } from "../../link/link.ts";
import { whatIsAt } from "../../link/namespace.ts";
import type { LoanData } from "../../plugin/lent/lender.ts";
import { FALLBACK, readRest } from "../../plugin/lent/unreadable.ts";
import { aliasPrefix } from "../../plugin/upper/own.ts";
import type { Damaged } from "../../state/record.ts";
import type { Inside } from "./inside.ts";
import type { SeenNamespace } from "./namespaces.ts";
import type { Node } from "./node.ts";

/** The device's name on the host, when that part of the record is left: ADD makes it the device's alias. */
const NAME = /"(?:was|link)":\{"name":("(?:[^"\\]|\\.)*")/;

/** So many interfaces are named. */
const MOST_NAMES = 5;

type Looked = Pick<Node, "namespaces" | "holders" | "insides" | "blind" | "cache">;

export class DamagedRecords {
  readonly #node: Looked;
  /** Paths of the pod's namespace that libcni keeps, by attachment. */
  readonly #kept = new Map<string, string[]>();
  /** Interfaces that may be a lent device, by namespace; those without any are left out. */
  readonly #suspects = new Map<SeenNamespace, string[]>();
  /** Where an interface has this alias. */
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

  /** Why a pod may have the device; "": certainly none has. */
  doubt(found: Damaged): string {
    const { isPast, netns } = readRest(found);
    // The time of a file is no evidence: it may be of a backup.
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
    // Its pod may have moved it there.
    const [blind] = this.#node.blind;
    const unseen = blind === undefined ? "" : `podnic cannot look into ${blind}`;
    if (pods.length > 0) return unseen;
    // Nothing says in which pod it was.
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

/** What no other record, and no plugin of ours, claims. */
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
