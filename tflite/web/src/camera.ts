import { Refusal } from "./refusal";

const REASONS: Record<string, string> = {
  NotFoundError: "No camera was found.",
  NotAllowedError: "The camera may not be used: allow it in the browser's settings for this page.",
  NotReadableError: "The camera cannot be read; another program may be using it.",
};

/** The camera in a video element. */
export class Camera {
  private stream: MediaStream | null = null;

  constructor(private readonly video: HTMLVideoElement) {}

  /** @throws Refusal if there is no camera, or it may not be used. */
  async open(): Promise<void> {
    // Browsers hide cameras from pages that others on the network could have changed.
    if (navigator.mediaDevices === undefined) {
      throw new Refusal("Browsers give the camera to https and localhost only.");
    }
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({
        video: { facingMode: "environment", width: { ideal: 1280 } },
      });
      this.video.srcObject = this.stream;
      await this.video.play();
    } catch (error) {
      this.close();
      const { name, message } = error as DOMException;
      throw new Refusal(REASONS[name] ?? `The camera does not start: ${message}`, { cause: error });
    }
  }

  /** Returns what the camera sees now. */
  async take(): Promise<Blob> {
    const canvas = new OffscreenCanvas(this.video.videoWidth, this.video.videoHeight);
    canvas.getContext("2d")!.drawImage(this.video, 0, 0);
    return canvas.convertToBlob(); // PNG: without a loss
  }

  close(): void {
    this.stream?.getTracks().forEach((track) => track.stop());
    this.stream = null;
    this.video.srcObject = null;
  }
}
