// Whether the page can be opened again without the network. Knows nothing about faces.

/** Have the service worker store the page; true when that is done, false where the browser does not offer it. */
export async function storePage() {
  if (!navigator.serviceWorker) return false; // as at http:// addresses other than this machine's
  try {
    await navigator.serviceWorker.register("service-worker.js");
  } catch {
    return false; // the browser forbids it, or what it stores
  }
  await navigator.serviceWorker.ready;
  return true;
}
