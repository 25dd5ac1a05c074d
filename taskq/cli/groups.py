"""Groups of commands: an error names the one that was typed; of those about one thing `list` may be left out."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from taskq.errors import nearest

__all__ = ["ListedGroup", "NamingGroup"]

_DEFAULT = "list"


class NamingGroup(click.Group):
    """A group whose errors name the command that they are of; click forgets to where a value is missing."""

    def invoke(self, ctx: click.Context) -> object:
        """As click."""
        try:
            return super().invoke(ctx)
        except click.UsageError as wrong:
            if wrong.ctx is None and ctx.invoked_subcommand is not None:
                command = self.get_command(ctx, ctx.invoked_subcommand)
                if command is not None:
                    wrong.ctx = click.Context(command, ctx, ctx.invoked_subcommand)
            raise


class ListedGroup(NamingGroup):
    """A group whose command `list` may be left out, also before its options: `taskq failed --json`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were written."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click, with `list` put where no command is."""
        place = self._behind_own_options(ctx, args)
        typed = args[place] if place < len(args) else "-"
        # A shell that completes has not seen the end of it: what comes next may be another command.
        unfinished = ctx.resilient_parsing and place >= len(args)
        lacks_value = place > len(args)  # it would take `list` for that
        if typed.startswith("-") and typed not in ctx.help_option_names and not unfinished and not lacks_value:
            args = [*args[:place], _DEFAULT, *args[place:]]
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click, with the nearest command in the error."""
        if args[0] not in self.commands and not ctx.resilient_parsing:
            near = nearest(args[0], self.commands)
            meant = f"Did you mean {near}?" if near else f"There are: {', '.join(self.commands)}."
            raise click.UsageError(f'there is no command "{args[0]}". {meant}', ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As click, with the options of `list`, which may stand without it."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            listing = self.commands[_DEFAULT]
            inner = listing.make_context(_DEFAULT, [], parent=ctx, resilient_parsing=True)
            known = {item.value for item in found}
            found += [item for item in listing.shell_complete(inner, incomplete) if item.value not in known]
        return found

    def _behind_own_options(self, ctx: click.Context, args: list[str]) -> int:
        """The place of the first word that is no option of the group itself, nor the value of one, missing or not."""
        takes_value = {
            name: isinstance(parameter, click.Option) and not parameter.is_flag
            for parameter in self.get_params(ctx)
            for name in parameter.opts
        }
        place = 0
        while place < len(args):
            name, equals, _ = args[place].partition("=")
            if name in ctx.help_option_names or name not in takes_value:
                short = name[:2]
                if name.startswith("--") or not takes_value.get(short):  # `-bURL` is an option with its value
                    break
                place += 1
            else:
                place += 2 if takes_value[name] and not equals else 1
        return place
