// What kubectl asks before it asks anything: which resources there are, and whether the server checks what it is given.
import { groupVersion, RESOURCES, type Resource, root } from "./objects.ts";

const VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"];

function resourceList(version: string, resources: readonly Resource[]): object {
  const of = ({ name, kind, namespaced }: Resource) => ({
    name,
    singularName: kind.toLowerCase(),
    namespaced,
    kind,
    verbs: VERBS,
  });
  return { kind: "APIResourceList", apiVersion: "v1", groupVersion: version, resources: resources.map(of) };
}

/** Just enough of OpenAPI for kubectl to see that it need not validate: each PATCH takes `fieldValidation`. */
function openapi(resources: readonly Resource[]): object {
  const paths = resources.map((resource) => {
    const { group, version, name, kind, namespaced } = resource;
    const path = `${root(resource)}${namespaced ? "/namespaces/{namespace}" : ""}/${name}/{name}`;
    const parameters = [{ name: "fieldValidation", in: "query", schema: { type: "string" } }];
    return [path, { patch: { parameters, "x-kubernetes-group-version-kind": { group, version, kind } } }];
  });
  return { openapi: "3.0.0", info: { title: "podnic", version: "1" }, paths: Object.fromEntries(paths) };
}

export function discovery(path: string): object | undefined {
  const versions = [...new Set(RESOURCES.map(root))];
  if (path === "/version") return { major: "1", minor: "32", gitVersion: "v1.32.0" };
  if (path === "/api") return { kind: "APIVersions", versions: ["v1"] };
  if (path === "/apis") return groups();
  if (path === "/openapi/v3")
    return {
      paths: Object.fromEntries(versions.map((at) => [at.slice(1), { serverRelativeURL: `/openapi/v3${at}` }])),
    };
  const at = path.replace(/^\/openapi\/v3/, "");
  const resources = RESOURCES.filter((resource) => root(resource) === at);
  if (resources.length === 0) return undefined;
  return at === path ? resourceList(groupVersion(resources[0]!), resources) : openapi(resources);
}

function groups(): object {
  const named = RESOURCES.filter(({ group }) => group !== "");
  const all = [...new Set(named.map(({ group }) => group))].map((name) => {
    const resource = named.find(({ group }) => group === name)!;
    const version = { groupVersion: groupVersion(resource), version: resource.version };
    return { name, versions: [version], preferredVersion: version };
  });
  return { kind: "APIGroupList", apiVersion: "v1", groups: all };
}
