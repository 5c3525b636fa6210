// vitest runs this before each test file, so that tests have an installed host, as after the entry files.
import { installHost } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";

installHost(new NodeHost());
