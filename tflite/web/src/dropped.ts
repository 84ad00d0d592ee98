/** Calls back with the first file that is dropped on the page or pasted into it. */
export function onDroppedFile(page: HTMLElement, take: (file: File) => void): void {
  let depth = 0; // dragenter and dragleave come for every element inside, too
  const mark = (change: number) => {
    depth += change;
    page.classList.toggle("dragging", depth > 0);
  };
  document.addEventListener("dragenter", () => mark(+1));
  document.addEventListener("dragleave", () => mark(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(-depth);
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
}
