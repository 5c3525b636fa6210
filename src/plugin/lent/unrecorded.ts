// DEL of an attachment that another program set up: podnic has no record of it. What there is says something of a link, and some of it can be forged.
// This table says what each piece of evidence proves and who can forge it. The rules below it decide, and nothing else does. No piece that a pod can
// forge outweighs one that it cannot; where two of the same weight disagree, the verdict is "doubt", which is an error.

/** `forgedBy`: who can make it say what is not so, beside the node's administrator. */
interface Worth {
  readonly says: string;
  readonly forgedBy: "nobody" | "the pod" | "the network's author" | "either";
}

export const EVIDENCE = {
  record: {
    says: "the link is the device of a record of podnic's; false: that device is in its own pod",
    forgedBy: "nobody",
  },
  damaged: {
    says: "there is a record of the attachment that cannot be read: podnic lent a device",
    forgedBy: "nobody",
  },
  bus: { says: "the kernel has the card where the configuration says", forgedBy: "nobody" },
  permanent: { says: "the card's permanent address is the one that libcni's result names", forgedBy: "nobody" },
  stored: {
    says: "libcni's result gave this MAC address to the attachment, by this device of this plugin",
    forgedBy: "nobody",
  },
  owner: {
    says: "a record, a result or a lease names another attachment as the one that has the link by now",
    forgedBy: "nobody",
  },
  onHost: { says: "the configured device is on the host", forgedBy: "nobody" },
  tied: { says: "what the link is made on, or its peer, is the host's (or it needs none)", forgedBy: "nobody" },
  idle: { says: "the link connects the pod to nothing", forgedBy: "nobody" },
  byName: { says: "the configuration names the device by its name", forgedBy: "nobody" },
  programs: { says: "that name is one that another program uses", forgedBy: "nobody" },
  state: { says: "sriov-cni's file of this interface is of this network", forgedBy: "nobody" },
  refused: { says: "an ADD of this network failed while sriov-cni's file was there", forgedBy: "nobody" },
  lent: { says: "a prevResult, a lease or a file of libcni tells of an ADD", forgedBy: "the network's author" },
  address: { says: "the link has, or had from its maker, the address in hwaddr", forgedBy: "the pod" },
  mac: { says: "the link has the MAC address that libcni's result names", forgedBy: "the pod" },
  alias: { says: "the alias is the configured name, as the Go plugin writes it", forgedBy: "the pod" },
  altname: { says: "an alternative name is the configured name", forgedBy: "the pod" },
  name: { says: "the link has the name in CNI_IFNAME", forgedBy: "the pod" },
  others: { says: "a lease or a result names another attachment, and nothing names this one", forgedBy: "either" },
} as const satisfies Record<string, Worth>;

export type Piece = keyof typeof EVIDENCE;

/** undefined: it is silent. */
export type Says = boolean | undefined;

/** "other": it is not the device, or nothing shows that it is. "doubt": nobody can tell; DEL fails, and releases nothing. */
export type Verdict = "ours" | "another's" | "other" | "doubt";

/** What is judged: a link (hardware, or made by software) in the pod or elsewhere, or a file of sriov-cni. */
export interface Subject {
  readonly of: "card" | "virtual" | "state";
  /** The namespace is the pod's, by CNI_NETNS or by libcni's result. */
  readonly isInPod: boolean;
  /** Asked only for what a rule needs. */
  says(piece: Piece): Says;
}

export interface Decision {
  readonly verdict: Verdict;
  readonly why: string;
}

interface Rule {
  readonly why: string;
  readonly of?: Subject["of"];
  readonly isInPod?: boolean;
  /** One of these must be so. */
  readonly some?: readonly Piece[];
  /** And all of these; what costs most comes last. */
  readonly all?: Partial<Record<Piece, boolean>>;
  readonly verdict: Verdict;
}

/** Where the configuration, or what the pod may have changed, names the device. */
const NAMED: readonly Piece[] = ["name", "alias", "altname"];

/** What tells one card from another for certain. */
const CERTAIN: readonly Piece[] = ["bus", "permanent"];

/** The first rule that holds decides. */
export const RULES: readonly Rule[] = [
  { why: "an ADD of this network failed", of: "state", all: { refused: true }, verdict: "another's" },
  { why: "the file names this network", of: "state", all: { state: true }, verdict: "ours" },
  { why: "the file names another function", of: "state", all: { bus: false }, verdict: "another's" },
  { why: "the network was renamed", of: "state", verdict: "ours" },

  { why: "the card is elsewhere on the bus", all: { bus: false }, verdict: "other" },
  { why: "the address in hwaddr is another", all: { address: false }, verdict: "other" },
  { why: "another attachment has it", isInPod: true, all: { owner: true }, verdict: "another's" },

  // Nobody can say how it got there: it may have come back, and be anybody's by now.
  { why: "nothing tells of an ADD", isInPod: false, all: { lent: false }, verdict: "other" },
  {
    why: "another pod got the card",
    of: "card",
    isInPod: false,
    some: CERTAIN,
    all: { owner: true },
    verdict: "another's",
  },
  { why: "the card, elsewhere", of: "card", isInPod: false, some: CERTAIN, verdict: "doubt" },
  {
    why: "another pod got it",
    isInPod: false,
    some: ["mac", "name"],
    all: { alias: true, owner: true },
    verdict: "another's",
  },
  {
    why: "it may be the device",
    isInPod: false,
    some: ["mac", "name"],
    all: { alias: true, tied: true },
    verdict: "doubt",
  },
  { why: "nothing shows that it is the device", isInPod: false, verdict: "other" },

  { why: "its place on the bus", of: "card", isInPod: true, all: { bus: true }, verdict: "ours" },
  { why: "its permanent address", of: "card", isInPod: true, all: { permanent: true }, verdict: "ours" },
  {
    why: "libcni's result names another card",
    of: "card",
    all: { permanent: false, mac: false, alias: false },
    verdict: "other",
  },
  { why: "its name or address", of: "card", isInPod: true, some: ["address", "alias", "altname"], verdict: "ours" },
  { why: "an ADD gave the pod a card", of: "card", isInPod: true, all: { lent: true }, verdict: "ours" },
  { why: "nothing shows that it is the card", of: "card", verdict: "other" },

  { why: "the device is on the host", of: "virtual", all: { onHost: true }, verdict: "other" },
  { why: "a record of the device", of: "virtual", all: { record: true }, verdict: "ours" },
  { why: "another pod has the device", of: "virtual", all: { record: false }, verdict: "other" },
  {
    why: "libcni's result",
    of: "virtual",
    all: { byName: true, tied: true, stored: true },
    some: NAMED,
    verdict: "ours",
  },
  {
    why: "a damaged record",
    of: "virtual",
    all: { byName: true, tied: true, damaged: true },
    some: ["alias", "altname"],
    verdict: "ours",
  },
  {
    why: "a damaged record",
    of: "virtual",
    all: { byName: true, tied: true, damaged: true, lent: true, name: true },
    verdict: "ours",
  },
  {
    why: "an ADD, and it harms nobody",
    of: "virtual",
    all: { byName: true, tied: true, lent: true, idle: true, programs: false },
    some: NAMED,
    verdict: "ours",
  },
  { why: "an ADD, but it may be the pod's own", of: "virtual", all: { name: true, lent: true }, verdict: "doubt" },
  {
    why: "another attachment has it",
    of: "virtual",
    all: { name: true, tied: true, others: true },
    some: ["alias", "altname", "address"],
    verdict: "another's",
  },
  {
    why: "it looks like what the Go plugin leaves",
    of: "virtual",
    all: { name: true, tied: true },
    some: ["alias", "altname", "address"],
    verdict: "doubt",
  },
  { why: "nothing shows that it is the device", verdict: "other" },
];

export function decide(subject: Subject): Decision {
  const known = new Map<Piece, Says>();
  const says = (piece: Piece): Says => {
    if (!known.has(piece)) known.set(piece, subject.says(piece));
    return known.get(piece);
  };
  const { verdict, why } = RULES.find((rule) => holds(rule, subject, says))!;
  return { verdict, why };
}

function holds(rule: Rule, { of, isInPod }: Subject, says: (piece: Piece) => Says): boolean {
  if ((rule.of ?? of) !== of || (rule.isInPod ?? isInPod) !== isInPod) return false;
  const isSo = ([piece, wanted]: [string, boolean]): boolean => says(piece as Piece) === wanted;
  return (rule.some?.some((piece) => says(piece) === true) ?? true) && Object.entries(rule.all ?? {}).every(isSo);
}
