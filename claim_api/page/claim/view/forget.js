// "Forget me": what it means is said before it is done, and only a second word does it.

import { button, heading, make, section } from "../dom.js";
import { t } from "../text.js";

export function drawForget(store, session) {
  const dialog = make("dialog", { class: "ask", "aria-labelledby": "forget-ask", "aria-describedby": "forget-means" });
  document.body.append(dialog);
  const close = () => dialog.close();
  const means = ["events", "past", "claims", "back"].map((name) => make("li", {}, t("forget.means." + name)));
  const ask = () => {
    const yes = button(t("forget.yes"), { class: "bad" }, async () => {
      yes.disabled = true;
      await session.forget();
      close();
    });
    dialog.replaceChildren(
      heading(2, "forget-ask", t("forget.ask")),
      make("ul", { id: "forget-means" }, means),
      make("div", { class: "acts" }, button(t("forget.no"), { class: "quiet" }, close), yes),
    );
    dialog.showModal();
  };
  const node = make("section", { class: "forget", "aria-labelledby": "forget-title" });
  return section(store, node, ({ me }) => [me?.viewer], ({ me }) =>
    me
      ? [heading(2, "forget-title", t("forget.title")), make("p", { class: "hint" }, t("forget.text")), button(t("forget.act"), { class: "quiet bad", data: { key: "forget" } }, ask)]
      : [],
  );
}
