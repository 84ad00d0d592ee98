"""Serves the page on this machine, with models to choose from.

make web MODEL=runs/photos/model.tflite
python -m tflite.web float32.tflite dynamic-int8.tflite --port 8080
"""

import argparse
import sys
from pathlib import Path

from tflite.web.server import PORT, make_server


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tflite.web",
        description="Serve the page that classifies photographs in the browser, on this machine "
        "only. `make web` builds it.",
    )
    add = parser.add_argument
    add("models", type=Path, nargs="*", metavar="MODEL", help=".tflite files to choose from")
    add("--port", type=int, default=PORT, help=f"0 for a free one ({PORT})")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Serves until it is interrupted; 2 on bad input."""
    options = parse(arguments)
    try:
        server = make_server(options.models, options.port)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
