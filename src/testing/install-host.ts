// vitest runs this before each test file: tests find a host in force, as the entry files leave it.
import { installHost } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";

installHost(new NodeHost());
