// Points at a trial and it is shown everywhere; sorts the leaderboard; copies what is to be copied. The page reads whole
// without any of it.
(() => {
  const trials = JSON.parse(document.getElementById("trials").textContent);
  const tip = document.getElementById("tip");
  const around = [[0, 0], [0, -4], [0, 4], [-4, 0], [4, 0], [-3, -3], [3, 3], [-3, 3], [3, -3]];
  let marked = [];

  const clear = () => {
    marked.forEach((mark) => mark.classList.remove("on"));
    marked = [];
    tip.classList.remove("up");
  };

  const lines = (parent, rows) => rows.forEach(([said, bold]) => {
    const row = document.createElement("div");
    const inner = bold ? row.appendChild(document.createElement("b")) : row;
    inner.textContent = said;
    parent.appendChild(row);
  });

  const show = (mark, x, y) => {
    clear();
    const id = mark.dataset.t;
    tip.textContent = "";
    if (id) {
      marked = [...document.querySelectorAll(`[data-t="${id}"]`)];
      marked.forEach((other) => other.classList.add("on"));
      const [head, ...rest] = trials[id] || [id];
      lines(tip, [[head, true], ...rest.map((said) => [said, false])]);
    } else {
      lines(tip, [[mark.dataset.tip, false]]);
    }
    tip.classList.add("up");
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 14) : y + 18}px`;
  };

  const nearest = (x, y) => {
    for (const [dx, dy] of around) {
      const found = document.elementFromPoint(x + dx, y + dy);
      const mark = found && found.closest("[data-t], [data-tip]");
      if (mark) return mark;
    }
    return null;
  };

  const look = (event) => {
    const mark = event.target.closest && event.target.closest(".chart, table") ? nearest(event.clientX, event.clientY) : null;
    if (mark) show(mark, event.clientX, event.clientY);
    else if (marked.length || tip.classList.contains("up")) clear();
  };
  document.addEventListener("pointermove", look);
  document.addEventListener("pointerdown", look);
  document.addEventListener("scroll", clear, { passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") clear(); });

  document.querySelectorAll(".copied button").forEach((button) => button.addEventListener("click", async () => {
    const text = button.parentElement.querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("pre"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }));

  // Sorts by a column, the other way round at the next click; what has no value stays last.
  document.querySelectorAll(".all th button").forEach((button) => button.addEventListener("click", () => {
    const header = button.parentElement, body = header.closest("table").tBodies[0];
    const before = header.getAttribute("aria-sort"), first = header.dataset.first || "ascending";
    const order = !before ? first : before === "ascending" ? "descending" : "ascending";
    const key = (row) => { const cell = row.cells[header.cellIndex]; return cell.dataset.v ?? cell.textContent; };
    const sign = order === "ascending" ? 1 : -1;
    const compare = (a, b) => {
      if (a === "" || b === "") return (a === "") - (b === "");
      return sign * (isNaN(a) || isNaN(b) ? a.localeCompare(b, "en", { numeric: true }) : a - b);
    };
    header.parentElement.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    body.append(...[...body.rows].sort((a, b) => compare(key(a), key(b))));
  }));
})();
