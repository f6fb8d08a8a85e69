"""What can be judged of a page's accessibility by looking at it (WCAG 2.2 AA): names, references, contrast, sizes.

An audit of our own, evaluated in the page: each finding is a line of text. It judges what is visible now, so it is run
in each state of a page, in the light and the dark.
"""

from typing import Any

from playwright.async_api import Page

AUDIT = """() => {
  const found = [];
  const visible = (each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const say = (rule, each, more = '') => found.push(`${rule}: <${each.tagName.toLowerCase()} id="${each.id}" class="${each.className.baseVal ?? each.className}"> ${each.textContent.trim().slice(0, 40)} ${more}`);
  const byIds = (each, name) => (each.getAttribute(name) ?? '').split(/\\s+/).filter(Boolean);
  const named = (each) => each.ariaLabel?.trim() || byIds(each, 'aria-labelledby').some((id) => document.getElementById(id)?.textContent.trim())
    || [...(each.labels ?? [])].some((label) => label.textContent.trim()) || each.getAttribute('alt')?.trim()
    || (!/^(INPUT|SELECT|TEXTAREA|METER|VIDEO|DIALOG|SECTION|MAIN|UL|OL|DIV)$/.test(each.tagName) && each.textContent.trim());

  if (!document.documentElement.lang) found.push('lang: the page names no language');
  if (document.querySelectorAll('h1').length !== 1) found.push('h1: not exactly one');
  for (const each of document.querySelectorAll('button, input, select, textarea, a[href], meter, video, dialog[open], section, [role=group], [role=log]')) {
    if (visible(each) && !named(each)) say('no name', each);
  }
  for (const each of document.querySelectorAll('img')) if (!each.hasAttribute('alt')) say('no alt', each);
  for (const each of document.querySelectorAll('[tabindex]')) if (each.tabIndex > 0) say('tabindex above 0', each);
  const ids = [...document.querySelectorAll('[id]')].map((each) => each.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push(`twice the same id: ${id}`);
  for (const name of ['aria-labelledby', 'aria-describedby', 'aria-controls', 'for', 'list']) {
    for (const each of document.querySelectorAll(`[${name}]`)) {
      for (const id of byIds(each, name)) if (!document.getElementById(id)) say(`${name} of nothing`, each, id);
    }
  }
  for (const each of document.querySelectorAll('button, a[href].button, select, input')) {
    const box = each.getBoundingClientRect();
    const small = box.width < 24 || box.height < 24;
    if (visible(each) && small && !each.closest('label') && !each.classList.contains('skip')) say('smaller than 24 px', each, `${box.width}x${box.height}`);
  }

  const parse = (colour) => { const n = colour.match(/[\\d.]+/g).map(Number); return { rgb: n.slice(0, 3), alpha: n[3] ?? 1 }; };
  const over = (top, below) => top.rgb.map((value, n) => value * top.alpha + below[n] * (1 - top.alpha));
  const ground = (each) => {
    const layers = [];
    for (let at = each; at; at = at.parentElement) {
      if (getComputedStyle(at).backgroundImage !== 'none') return null;
      layers.push(parse(getComputedStyle(at).backgroundColor));
      if (layers.at(-1).alpha === 1) break;
    }
    const base = matchMedia('(prefers-color-scheme: dark)').matches ? [18, 18, 18] : [255, 255, 255];
    return layers.reverse().reduce((below, layer) => over(layer, below), base);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((value) => { const part = value / 255; return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const each = node.parentElement;
    if (!node.textContent.trim() || seen.has(each) || !visible(each) || each.closest('.unseen, .skip, svg, script, style, :disabled, .picture-wait, option, [inert]')) continue;
    if (document.querySelector('dialog[open]') && !each.closest('dialog[open]')) continue;
    seen.add(each);
    const style = getComputedStyle(each);
    const below = ground(each);
    if (!below) continue;
    let faint = 1;
    for (let at = each; at; at = at.parentElement) faint *= Number(getComputedStyle(at).opacity);
    const ink = parse(style.color);
    const [light, dark] = [luminance(over({ rgb: ink.rgb, alpha: ink.alpha * faint }, below)), luminance(below)].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    const px = parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) say('contrast', each, ratio.toFixed(2));
  }
  return found;
}"""  # noqa: E501 - a program of another language


async def audit(page: Page) -> list[str]:
    """What is wrong with the page as it stands."""
    found: Any = await page.evaluate(AUDIT)
    return [str(each) for each in found]
