/** An error in words for the user; any other is a fault of the page or of the browser. */
export class Refusal extends Error {
  override name = "Refusal";
}
