"""``python -m sandbox``: the whole platform on this machine, without Docker, accounts or network."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import httpx

from models.generation import Channel
from sandbox.console.following import NotFinished
from sandbox.console.progress import Console, Style
from sandbox.demo.play import DEFAULT_LATENCY, DEFAULT_RESULTS, DemoOptions, demo, real_provider
from sandbox.demo.steps import DemoFailed
from sandbox.lasting.commands import EXIT_NOT_RUNNING, command_line, reset, start, status
from sandbox.lasting.desk import wearon
from sandbox.lasting.home import DEFAULT_HOME, SandboxHome, SandboxIsNotRunning, SandboxIsRunning
from sandbox.lasting.push import DEFAULT_PICTURES, Order, push
from sandbox.openai_sim import Latency
from sandbox.platform.producer import DEFAULT_PROMPT, StoreMode
from sandbox.platform.uploads import UnknownPictureFormat
from sandbox.servers.processes import StartupFailed

EXIT_TROUBLE: Final = 1
EXIT_USAGE: Final = 2
EXIT_INTERRUPTED: Final = 130
"""128 + SIGINT, as shells report it."""

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

DESCRIPTION: Final = """\
The whole platform around the worker, on this machine: a real Redis, a real Postgres, a Supabase API over it, a
simulator of the OpenAI images API, and the real worker (main.py). Everything listens on 127.0.0.1 only.
"""

EXAMPLES: Final = """\
examples:
  python -m sandbox demo                          two try-ons and a refusal, in about a minute; leaves only pictures
  python -m sandbox start                         keep everything running until Ctrl-C; the data survives
  python -m sandbox push --b2c                    in another terminal: push a task and follow it
  python -m sandbox push --b2b --mode resell --image me.jpg --image https://shop.example/coat.jpg
  python -m sandbox push --b2c --prompt "[[sim:429-once]]"   let the simulator misbehave
  python -m sandbox status                        what runs where, and how many sessions there are
  python -m sandbox wearon status                 the operator's command line, asked about the sandbox
  python -m sandbox reset                         wipe the data (when stopped)

`make demo`, `make sandbox` and `make reset` are the same as demo, start and reset.
"""

Command = Callable[[argparse.Namespace, Console], int]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    chosen = _parser().parse_args(arguments)
    console = Console(sys.stdout)
    command: Command = chosen.command
    try:
        return command(chosen, console)
    except KeyboardInterrupt:
        console.line("Interrupted.", Style.WARNING)
        return EXIT_INTERRUPTED
    except SandboxIsRunning as error:
        console.line(f"{_sentence(error)} Stop it with Ctrl-C where it was started.", Style.BAD)
    except SandboxIsNotRunning as error:
        console.line(f"{_sentence(error)} Start one with: {command_line('start', SandboxHome(error.home))}", Style.BAD)
        return EXIT_NOT_RUNNING
    except (UnknownPictureFormat, DemoFailed) as error:
        console.line(_sentence(error), Style.BAD)
        return EXIT_USAGE
    except (StartupFailed, NotFinished, OSError, httpx.HTTPError) as error:
        console.line(f"{type(error).__name__}: {error}", Style.BAD)
    return EXIT_TROUBLE


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _stop_once() -> None:
    """Ctrl-C, ``kill`` and a closed terminal all end us in the orderly way; while that goes on, more of them wait."""

    def stop(*_: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, lambda *_: None)
        raise KeyboardInterrupt

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(metavar="command", required=True)
    _add_start(commands)
    _add_reset(commands)
    _add_demo(commands)
    _add_status(commands)
    _add_push(commands)
    _add_wearon(commands)
    return parser


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name


def _add(commands: "Commands[argparse.ArgumentParser]", name: str, help_text: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=help_text, description=f"{help_text[:1].upper()}{help_text[1:]}.")


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=DEFAULT_HOME, metavar="DIR", help="the sandbox's directory (default: .sandbox)"
    )


def _add_latency(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--latency",
        type=_latency,
        default=DEFAULT_LATENCY,
        metavar="SECONDS",
        help=f"of the simulated provider, as 30 or 20-60 (default: {DEFAULT_LATENCY})",
    )


def _add_start(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "start", "start everything and keep it running until Ctrl-C; the data survives")
    _add_data(parser)
    _add_latency(parser)
    parser.set_defaults(
        command=lambda chosen, console: start(SandboxHome(chosen.data), console, latency=chosen.latency)
    )


def _add_reset(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "reset", "wipe the data of a stopped sandbox")
    _add_data(parser)
    parser.set_defaults(command=lambda chosen, console: reset(SandboxHome(chosen.data), console))


def _add_status(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "status", f"say what runs where; exit status {EXIT_NOT_RUNNING} if nothing does")
    _add_data(parser)
    parser.set_defaults(command=lambda chosen, console: status(SandboxHome(chosen.data), console))


def _add_demo(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "demo", "show two try-ons and a refusal on a world that is gone afterwards")
    _add_latency(parser)
    parser.add_argument(
        "--results", type=Path, default=DEFAULT_RESULTS, metavar="DIR", help="for the pictures (default: demo-results)"
    )
    parser.add_argument(
        "--real",
        action="store_true",
        help="make the two try-ons with the real OpenAI API (OPENAI_API_KEY in the environment; costs some cents);"
        " the refusal stays simulated",
    )
    parser.set_defaults(command=_demo)


def _demo(chosen: argparse.Namespace, console: Console) -> int:
    provider = real_provider(os.environ) if chosen.real else None
    return demo(console, DemoOptions(results=chosen.results, latency=chosen.latency, provider=provider))


def _add_push(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "push", "push one task into the running sandbox, as the platform does, and follow it")
    channel = parser.add_mutually_exclusive_group(required=True)
    for name, who in ((Channel.B2C, "a new user of the app"), (Channel.B2B, "a new store")):
        channel.add_argument(
            f"--{name}", dest="channel", action="store_const", const=name, help=f"for {who}, with 10 credits"
        )
    parser.add_argument(
        "--mode",
        choices=[mode.value for mode in StoreMode],
        default=StoreMode.ABSORB,
        help="how a store is charged (default: absorb)",
    )
    parser.add_argument(
        "--prompt",
        default=DEFAULT_PROMPT,
        help="what to make; [[sim:NAME]] in it asks the simulator for a fault (the start table says where they are)",
    )
    parser.add_argument(
        "--image",
        dest="pictures",
        action="append",
        metavar="FILE|URL",
        help="the person, then the outfit, then accessories; a file is uploaded and signed (default: samples)",
    )
    _add_data(parser)
    parser.set_defaults(command=_push)


def _push(chosen: argparse.Namespace, console: Console) -> int:
    order = Order(chosen.channel, StoreMode(chosen.mode), chosen.prompt, chosen.pictures or DEFAULT_PICTURES)
    return push(SandboxHome(chosen.data), console, order)


def _add_wearon(commands: "Commands[argparse.ArgumentParser]") -> None:
    parser = _add(commands, "wearon", "the operator's command line (wearon --help), asked about the running sandbox")
    _add_data(parser)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="of wearon, such as: status --json")
    parser.set_defaults(command=lambda chosen, _: wearon(SandboxHome(chosen.data), chosen.arguments))


def _latency(text: str) -> str:
    try:
        return str(Latency.parse(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    _stop_once()
    sys.exit(main())
