"""``python -m sandbox.whatsapp_sim``: the stand-in for a person, or for a bridge in a container."""

import argparse
import signal
import time

from sandbox.whatsapp_sim.server import WhatsAppSim


def main() -> None:
    """Serve until Ctrl-C, and print what is accepted."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.whatsapp_sim", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8090, help="port to listen on (8090)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    shown = 0
    with WhatsAppSim(host=options.host, port=options.port) as sim:
        print("\n".join(f"{name}={value}" for name, value in sim.environment("+4915112345678").items()), flush=True)
        try:
            while True:
                for answer in sim.answers[shown:]:
                    print(f"to {answer.to}: {answer.status} {answer.code or 'accepted'}", flush=True)
                    shown += 1
                time.sleep(0.2)
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
