// Prints every netlink message that is sent or received.
import type { Fd, Host } from "../../host/host.ts";
import { describeMessage } from "./describe.ts";
import { words } from "./ip-words.ts";
import { isQuestion, type Message, splitMessages } from "./message.ts";
import { DeviceNames, type Names } from "./names.ts";
import { ipIn, netnsName, type Space, Spaces } from "./spaces.ts";

/**
 * Replaces methods of `host`, so that they report each netlink message to `say`. Requests begin with ">" and contain the equivalent command;
 * queries begin with ">?", and answers with "<".
 */
export function traceNetlink(host: Host, say: (line: string) => void): void {
  const spaces = new Spaces(host);
  const devices = new DeviceNames();
  const { send, sendAside, recv } = host;
  const namesIn = (space: Space): Names => ({
    device: (index) => devices.nameOf(space, index),
    netns: (fd) => netnsName(spaces.of(fd)) || "1",
  });
  const show = (mark: string, lines: string[]) => {
    say(`${mark} ${lines[0]}`);
    for (const line of lines.slice(1)) say(`    ${line}`);
  };
  const showSent = (space: Space, message: Message) => {
    devices.learnPair(space, message, (fd) => spaces.of(fd));
    const names = namesIn(space);
    const lines = [ipIn(space, words(message, names)), ...describeMessage(message, names)];
    show(
      isQuestion(message) ? ">?" : "> ",
      lines.filter((line, at) => at > 0 || line !== ""),
    );
  };
  const showAllSent = (fd: Fd, data: Uint8Array) => {
    const space = spaces.ofSocket(fd);
    if (space !== undefined) for (const message of splitMessages(data)) showSent(space, message);
  };
  host.send = (fd, data, address) => {
    showAllSent(fd, data);
    return send(fd, data, address);
  };
  host.sendAside = (fd, data) => {
    showAllSent(fd, data);
    return sendAside(fd, data);
  };
  host.recv = (fd, buffer) => {
    const received = recv(fd, buffer);
    const space = spaces.ofSocket(fd);
    if (space === undefined) return received;
    for (const message of splitMessages(buffer.subarray(0, received.size))) {
      devices.learn(space, message);
      show("< ", describeMessage(message, namesIn(space)));
    }
    return received;
  };
}
