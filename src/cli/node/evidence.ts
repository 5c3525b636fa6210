// Determines whether a container still exists. A host-local lease contains only a container ID and an interface name, so podnic checks
// everything else on the node that refers to the container. A container is gone only if this is certain.
import { idInAlias } from "../../plugin/hash.ts";
import type { Lessee } from "../../plugin/lessees.ts";
import { aliasPrefix } from "../../plugin/upper/own.ts";
import type { CachedAttachment } from "./cache.ts";
import type { Holder } from "./holders.ts";
import type { Inside } from "./inside.ts";
import { type Life, type Namespaces, NO_PATH, namesIn } from "./namespaces.ts";

/** Whether something exists, and the reason in words. */
export interface Evidence {
  life: Life;
  why: string;
}

/** The directories in which runtimes have an entry for each running container, named after its ID. */
const RUNTIMES = [
  "/run/containerd/io.containerd.runtime.v2.task/k8s.io",
  "/run/containerd/io.containerd.runtime.v2.task/default",
  "/run/containerd/io.containerd.runtime.v2.task/moby",
  "/run/containers/storage/overlay-containers",
  "/run/crun",
  "/run/runc",
];

/** The alias of podnic's links on a master: podnic:NETWORK:CONTAINER (ownerAlias). */
const ALIAS = new RegExp(`^${aliasPrefix}[^:]*:(.+)$`);

export interface Sources {
  namespaces: Namespaces;
  holders: Pick<Holder, "key" | "life" | "netns">[];
  insides: Pick<Inside, "namespace" | "attached" | "addresses">[];
  cache: CachedAttachment[];
  /** Seconds since the epoch; 0 if unknown. */
  bootTime: number;
  /** Paths of namespaces that podnic cannot enter. Anything that was not found may be there. */
  blind?: string[];
}

export class Containers {
  /** The evidence about a container. The key is its ID in the form in which aliases contain it. */
  readonly #found = new Map<string, Evidence[]>();
  /** The path of the namespace that has an interface with the container's alias. Same key. */
  readonly #named = new Map<string, string>();
  /** The path of the namespace that has an address. */
  readonly #addresses = new Map<string, string>();
  /** The path of the namespace of the attachment that got an address from ADD, unless this namespace is gone. */
  readonly #given = new Map<string, string>();
  /** The attachments whose device gc returns, from any namespace, before it releases their lease. */
  readonly #returning = new Set<string>();
  readonly #bootTime: number;
  readonly #seesAll: boolean;
  readonly #blind: Evidence | undefined;

  constructor({ namespaces, holders, insides, cache, bootTime, blind = [] }: Sources, runtimes = RUNTIMES) {
    this.#bootTime = bootTime;
    this.#blind = blind[0] === undefined ? undefined : { life: "unknown", why: `podnic cannot look into ${blind[0]}` };
    this.#seesAll = namespaces.seesProcesses;
    for (const { key, life, netns } of holders) {
      this.#add(key.containerId, { life, why: inWords(life, netns.path) });
      if (life === "gone") this.#returning.add(idOf(key));
    }
    for (const { containerId, namespaces: paths, addresses } of cache) {
      for (const path of paths) {
        const life = namespaces.lifeOf({ path, dev: 0, ino: 0 });
        this.#add(containerId, { life, why: inWords(life, path) });
        if (life !== "gone") for (const address of addresses) this.#given.set(address, path);
      }
    }
    for (const { namespace, attached, addresses } of insides) {
      for (const { alias } of attached) {
        const id = ALIAS.exec(alias)?.[1];
        if (id !== undefined) this.#named.set(idInAlias(id), namespace.path);
      }
      for (const address of addresses) if (!isLocal(address)) this.#addresses.set(address, namespace.path);
    }
    for (const directory of runtimes) {
      for (const id of namesIn(directory)) this.#add(id, { life: "alive", why: `it is in ${directory}` });
    }
  }

  #add(containerId: string, evidence: Evidence): void {
    const id = idInAlias(containerId);
    const known = this.#found.get(id);
    if (known === undefined) this.#found.set(id, [evidence]);
    else known.push(evidence);
  }

  /**
   * Whether the holder of a lease exists. One sign of life is enough. A pod can give its interfaces any alias and any address, so these keep a
   * lease, but do not prove who has it. `written` returns the time of the lease, in seconds since the epoch. If it is before the boot, the
   * container is gone. This is checked last, because the clock may have been wrong.
   */
  holderOf(owner: Lessee, address: string, written: () => number): Evidence {
    const { containerId } = owner;
    const found = this.#found.get(idInAlias(containerId)) ?? [];
    const alive = found.find(({ life }) => life === "alive");
    if (alive !== undefined) return alive;
    const isReturning = this.#returning.has(idOf(owner));
    const counts = (path: string | undefined): path is string =>
      path !== undefined && !(path === NO_PATH && isReturning);
    const named = this.#named.get(idInAlias(containerId));
    if (counts(named)) return { life: "unknown", why: `an interface in ${named} has its alias` };
    const at = address === "" ? undefined : this.#addresses.get(address);
    if (counts(at)) return { life: "unknown", why: `${at} has this address` };
    if (this.#blind !== undefined) return this.#blind;
    const gone = found.find(({ life }) => life === "gone");
    if (gone !== undefined) return gone;
    if (written() < this.#bootTime) return { life: "gone", why: "the lease was written before the node booted" };
    return { life: "unknown", why: "nothing on this node refers to it" };
  }

  /**
   * Whether a lease without a holder is in use. Such a lease was emptied, or its writer was killed. It can be released if it is certain that no
   * pod has the address.
   */
  holderOfNobodys(address: string, written: () => number): Evidence {
    const given = this.#given.get(address);
    if (given !== undefined) return { life: "alive", why: `${NOBODY}, and ${given} has this address` };
    const at = this.#addresses.get(address);
    if (at !== undefined) return { life: "unknown", why: `${NOBODY}, and ${at} has this address` };
    if (this.#blind !== undefined) return this.#blind;
    if (written() < this.#bootTime)
      return { life: "gone", why: `${NOBODY}, and it was written before the node booted` };
    if (this.#seesAll) return { life: "gone", why: `${NOBODY}, and no pod has the address` };
    return { life: "unknown", why: `${NOBODY}, and podnic cannot see all pods` };
  }
}

/** Includes the interface's name, because only this interface's device is returned, and not the container's others. */
const idOf = ({ containerId, ifName }: Lessee): string => `${ifName} ${idInAlias(containerId)}`;

/** The beginning of holderOfNobodys' reasons. */
const NOBODY = "its lease has no owner";

function inWords(life: Life, path: string): string {
  if (life === "alive") return `in ${path}`;
  return life === "gone" ? `${path} is gone` : `podnic cannot see ${path || "its namespace"}`;
}

/** Addresses that every namespace can have, so that they do not identify a pod. */
function isLocal(address: string): boolean {
  return address.startsWith("127.") || address === "::1" || address.startsWith("fe80:");
}
