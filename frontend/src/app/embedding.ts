// Life inside of Airflow's own pages. Airflow shows this page in a sandboxed frame, which may not
// lead the whole tab elsewhere: links to Airflow are followed by the page around it.

export const embedded: boolean = globalThis.self !== globalThis.top;

/** The document of Airflow's page around this one, if there is one that may be touched. */
export function airflowDocument(): Document | null {
  if (!embedded) return null;
  try {
    return window.parent.document;
  } catch {
    return null;
  }
}

/** Where Airflow itself is: the folder above the mount of this page. */
export function airflowUrl(path: string): string {
  return new URL(`../${path}`, document.baseURI).href;
}

/** An address that a spec or the server gave, if it is one that may be followed. */
export function safeUrl(text: string | null | undefined): string | null {
  if (!text) return null;
  if (text.startsWith("#/")) return text;
  if (!/^(https?:\/\/|\/(?!\/))/i.test(text)) return null;
  try {
    const url = new URL(text, document.baseURI);
    return url.protocol === "https:" || url.protocol === "http:" ? url.href : null;
  } catch {
    return null;
  }
}

/** Follow a link that leaves this page. */
export function follow(event: MouseEvent): void {
  const around = airflowDocument();
  const link = event.currentTarget;
  if (!around || !(link instanceof HTMLAnchorElement) || event.defaultPrevented) return;
  event.preventDefault();
  const other = around.createElement("a");
  other.href = link.href;
  const newTab = event.ctrlKey || event.metaKey || event.shiftKey || event.button === 1;
  const foreign = new URL(link.href).origin !== window.location.origin;
  if (newTab || foreign) {
    other.target = "_blank";
    other.rel = "noopener noreferrer";
  }
  around.body.append(other);
  other.click();
  other.remove();
}
