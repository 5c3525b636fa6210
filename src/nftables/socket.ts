// The socket for nf_tables: queries, and transactions that take effect as a whole or not at all.

import { host } from "../host/host.ts";
import type { Writer } from "../netlink/bytes.ts";
import {
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_NONREC,
} from "../netlink/constants.ts";
import { type Questions, QuestionWriter } from "../netlink/questions.ts";
import { type Besides, type Dump, NetlinkSocket, type PayloadReader } from "../netlink/socket.ts";
import * as c from "./constants.ts";
import {
  batchAttributes,
  type ChainAttributes,
  chainAttributes,
  handleIn,
  type RuleAttributes,
  readGeneration,
  ruleAttributes,
  type TableAttributes,
  tableAttributes,
  writeHeader,
} from "./message.ts";

/** A table, and its family. */
export interface Place {
  /** NFPROTO_*. */
  readonly family: number;
  readonly table: string;
}

const type = (message: number): number => (c.NFNL_SUBSYS_NFTABLES << 8) | message;

/** Encodes three queries: for the table, for a chain in it, and for the chain's rules (a dump). */
export function questionsAbout({ family, table }: Place, chain: string): Questions {
  const questions = new QuestionWriter(`nft list chain ${table} ${chain}`);
  writeHeader(questions.begin(type(c.NFT_MSG_GETTABLE)), family);
  tableAttributes.write(questions.writer, { name: table });
  writeHeader(questions.begin(type(c.NFT_MSG_GETCHAIN)), family);
  chainAttributes.write(questions.writer, { table, name: chain });
  writeHeader(questions.begin(type(c.NFT_MSG_GETRULE), NLM_F_DUMP), family);
  ruleAttributes.write(questions.writer, { table, chain });
  return questions.written();
}

/**
 * The calls that change something go between `start` and `commit`. The kernel makes all these changes at once, or none of them. `commit`
 * returns the handles of the rules that were added with `echo`, in their order.
 */
export class NftSocket extends NetlinkSocket {
  /** Opens a socket, which belongs to the current namespace of this process even if the process later enters another one. Throws SystemError. */
  static open(): NftSocket {
    return new NftSocket(c.NETLINK_NETFILTER, 0);
  }

  /**
   * Call this at the end of the process if something was deleted. The kernel makes the last process that closes the socket wait until it has
   * freed the memory, which takes 12 ms. If the host supports child processes, a child process closes the socket last.
   */
  leave(): void {
    host.leaveAside(this.fd);
  }

  /** Starts a transaction. The kernel refuses it (ERESTART) if anything has changed since `generation()` returned `generation`. */
  start(generation?: number): void {
    const out = this.append("nft transaction", c.NFNL_MSG_BATCH_BEGIN, 0);
    writeHeader(out, 0, c.NFNL_SUBSYS_NFTABLES);
    batchAttributes.write(out, { generation });
  }

  /** Sends the transaction. Throws the first NetlinkError; nothing has then been changed. */
  commit(): number[] {
    writeHeader(this.append("nft transaction", c.NFNL_MSG_BATCH_END, 0), 0, c.NFNL_SUBSYS_NFTABLES);
    return this.#send();
  }

  /** Makes the kernel check the changes. It does not make them, because the transaction has no end. Throws the first NetlinkError. */
  rehearse(): void {
    this.#send();
  }

  #send(): number[] {
    const handles: number[] = [];
    const see: Besides = (kind, bytes, start, end) => {
      if (kind === type(c.NFT_MSG_NEWRULE)) handles.push(handleIn(bytes, start, end) ?? 0);
    };
    for (const refusal of this.runEach(see)) if (refusal !== undefined) throw refusal;
    return handles;
  }

  /** Creates a table if it does not exist. */
  addTable(family: number, attributes: TableAttributes): void {
    const out = this.#change(`nft add table ${attributes.name}`, c.NFT_MSG_NEWTABLE, 0, family);
    tableAttributes.write(out, attributes);
  }

  /** Creates a chain if it does not exist. With `only`, an existing chain is an error (EEXIST). */
  addChain(family: number, attributes: ChainAttributes, only = false): void {
    const flags = only ? NLM_F_CREATE | NLM_F_EXCL : NLM_F_CREATE;
    const operation = `nft add chain ${attributes.table} ${attributes.name}`;
    chainAttributes.write(this.#change(operation, c.NFT_MSG_NEWCHAIN, flags, family), attributes);
  }

  /** Deletes a chain and its rules. With `onlyEmpty`, a chain with rules is an error (EBUSY). */
  deleteChain({ family, table }: Place, name: string, onlyEmpty = false): void {
    const flags = onlyEmpty ? NLM_F_NONREC : 0;
    const out = this.#change(`nft delete chain ${table} ${name}`, c.NFT_MSG_DELCHAIN, flags, family);
    chainAttributes.write(out, { table, name });
  }

  /** Deletes an empty table. Any other table is an error (EBUSY). */
  deleteEmptyTable({ family, table }: Place): void {
    const out = this.#change(`nft delete table ${table}`, c.NFT_MSG_DELTABLE, NLM_F_NONREC, family);
    tableAttributes.write(out, { name: table });
  }

  /** Adds a rule at the end or the beginning of its chain. With `echo`, `commit` returns the rule's handle. */
  addRule(family: number, attributes: RuleAttributes, echo = false, at: "end" | "beginning" = "end"): void {
    const flags = NLM_F_CREATE | (at === "end" ? NLM_F_APPEND : 0) | (echo ? NLM_F_ECHO : 0);
    const operation = `nft ${at === "end" ? "add" : "insert"} rule ${attributes.table} ${attributes.chain}`;
    ruleAttributes.write(this.#change(operation, c.NFT_MSG_NEWRULE, flags, family), attributes);
  }

  /** Deletes the rule with this handle, or all rules of the chain if there is no handle. */
  deleteRule({ family, table }: Place, chain: string, handle?: number): void {
    const out = this.#change(`nft delete rule ${table} ${chain}`, c.NFT_MSG_DELRULE, 0, family);
    ruleAttributes.write(out, { table, chain, handle });
  }

  #change(operation: string, message: number, flags: number, family: number): Writer {
    const out = this.append(operation, type(message), flags | NLM_F_ACK);
    writeHeader(out, family);
    return out;
  }

  /** The namespace's generation ID, which changes with each change to a table. */
  generation(): number {
    return this.get("nft monitor", type(c.NFT_MSG_GETGEN), (out) => writeHeader(out, 0), readGeneration);
  }

  getTable<T>({ family, table }: Place, read: PayloadReader<T>): T {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      tableAttributes.write(out, { name: table });
    };
    return this.get(`nft list table ${table}`, type(c.NFT_MSG_GETTABLE), write, read);
  }

  getChain<T>({ family, table }: Place, name: string, read: PayloadReader<T>): T {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      chainAttributes.write(out, { table, name });
    };
    return this.get(`nft list chain ${table} ${name}`, type(c.NFT_MSG_GETCHAIN), write, read);
  }

  getRule<T>({ family, table }: Place, chain: string, handle: number, read: PayloadReader<T>): T {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      ruleAttributes.write(out, { table, chain, handle });
    };
    return this.get(`nft list rule ${table} ${chain}`, type(c.NFT_MSG_GETRULE), write, read);
  }

  /** The chains of all tables of a family. */
  dumpChains<T>(family: number, read: PayloadReader<T | undefined>): Dump<T> {
    const write = (out: Writer): void => writeHeader(out, family);
    return this.dump("nft list chains", type(c.NFT_MSG_GETCHAIN), write, read);
  }

  /** The rules of a chain, in their order; none if the chain does not exist. */
  dumpRules<T>({ family, table }: Place, chain: string, read: PayloadReader<T | undefined>): Dump<T> {
    const write = (out: Writer): void => {
      writeHeader(out, family);
      ruleAttributes.write(out, { table, chain });
    };
    return this.dump(`nft list chain ${table} ${chain}`, type(c.NFT_MSG_GETRULE), write, read);
  }
}
