"""The page of the local Twitch: who do you want to be? Plain HTML, one inline style allowed by its hash, no script.

In: the sign-in's query and the users. Out: HTML and its Content-Security-Policy. Pure.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

from infra.twitch_login.state import LocalUser

STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:30rem;margin:3rem auto;padding:0 1rem}"
    "body{background:#fff;color:#111}"
    "button,input{font:inherit;padding:.5rem 1rem;margin:.25rem 0;min-height:44px}"
    "button{display:block;width:100%;text-align:left;border:1px solid #767676;border-radius:6px;background:#f4f1fb}"
    "button:focus-visible,input:focus-visible{outline:3px solid #5b2bb5}"
    "input{width:100%;box-sizing:border-box;border:1px solid #767676;border-radius:6px}"
    "p.note{border-left:4px solid #b36b00;padding-left:.75rem}"
    "@media(prefers-color-scheme:dark){body{background:#16131c;color:#eee}button,input{background:#241f2e;color:#eee}}"
)
_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
SHOWN_USERS: Final = 12
"""The first so many; whoever else it knows is found by their login."""


def policy(back_to: str) -> str:
    """Forms go here, and from here to the origin that asked (browsers hold redirects to form-action, too)."""
    return (
        f"default-src 'none'; style-src 'sha256-{_HASH}'; form-action 'self' {back_to}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def choose(hidden: Mapping[str, str], users: Iterable[LocalUser]) -> str:
    """The page that asks. hidden: the query, to come back with the answer."""
    kept = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in hidden.items())
    known = "".join(
        f'<button name="user" value="{escape(user.login)}">{escape(user.display_name)} '
        f"(id {escape(user.user_id)})</button>"
        for user in list(users)[:SHOWN_USERS]
    )
    return _page(
        "You are simulating Twitch: sign in as …",
        '<p class="note">This is not Twitch. It stands on your own machine so that you can try everything without an '
        "account; no password is asked for.</p>"
        f'<form method="post" action="authorize">{kept}{known}</form>'
        f'<form method="post" action="authorize">{kept}<label for="user">Somebody else (login)</label>'
        '<input id="user" name="user" required pattern="[A-Za-z0-9_]{1,25}" maxlength="25" autocomplete="off">'
        "<button>Sign in</button></form>"
        f'<form method="post" action="authorize">{kept}<button name="deny" value="1">Do not sign in</button></form>',
    )


def refused(why: str) -> str:
    """The page of a sign-in that cannot be: Twitch sends nobody back then."""
    return _page("This sign-in cannot be", f"<p>{escape(why)}</p>")


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><title>{escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
