// Lets the page work without the network: a store of its files, from which they come when the server does not answer.
// The server puts a line before this script, `const STORED = {version, addresses}`, relative to the page. Nothing else
// is stored, so neither answers about pictures nor reports are.
//
// The network goes first, so a page is never older than its server; addresses with a version never change.

const PAGE = self.registration.scope;
const STORE = `${PAGE} ${STORED.version}`;
const ADDRESSES = new Set(STORED.addresses.map((address) => new URL(address, PAGE).href));

self.addEventListener("install", (event) => event.waitUntil(store()));
self.addEventListener("activate", (event) => event.waitUntil(removeOthers()));
self.addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  const [address] = url.split("#");
  if (method === "GET" && ADDRESSES.has(address)) event.respondWith(answer(event.request, address));
});

/** Store all files, or none. */
async function store() {
  const cache = await caches.open(STORE);
  await cache.addAll([...ADDRESSES].map((address) => new Request(address, { cache: "no-cache" })));
  await self.skipWaiting();
}

/** Remove what earlier versions of this page stored; other pages of this origin have stores of their own. */
async function removeOthers() {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith(`${PAGE} `) && name !== STORE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

/** What the server answers, or what is stored where it does not answer or a proxy says that it does not. */
async function answer(request, address) {
  const cache = await caches.open(STORE);
  const stored = await cache.match(address, { ignoreVary: true });
  if (stored && new URL(address).searchParams.has("v")) return stored;
  try {
    const response = await fetch(request);
    return response.status < 500 ? response : stored ?? response;
  } catch (error) {
    if (stored) return stored;
    throw error;
  }
}
