/* SPDX-License-Identifier: Apache-2.0
 * start.js - puts the frame of the page together and opens the first page. */
'use strict';

function frame() {
    const nav = PAGES.filter((p) => p.nav);
    const links = nav.map((p) => h('a', {href: '#/' + p.path, title: 'g ' + p.key}, h('span', {}, p.nav),
        p.path === 'failures' && M.bad.length ? h('span', {class: 'nav-n bad'}, number(M.bad.length)) : p.path === 'flaky' && M.d.flaky.length ? h('span', {class: 'nav-n'}, number(M.d.flaky.length)) : h('kbd', {'aria-hidden': 'true'}, p.key)));
    const bar_ = h('header', {class: 'top'},
        h('button', {type: 'button', class: 'icon menu', 'aria-label': 'Menu', onclick: () => document.body.classList.toggle('nav-open')}, '☰'),
        h('a', {class: 'brand', href: '#/'}, h('span', {class: 'dot ' + (M.bad.length ? 'bad' : 'good'), 'aria-hidden': 'true'}), M.d.title),
        h('button', {type: 'button', class: 'search-button', onclick: search_open}, h('span', {}, 'Search'), h('kbd', {'aria-hidden': 'true'}, '/')),
        h('button', {type: 'button', class: 'icon', 'aria-label': 'Light or dark', title: 'Light or dark (t)', onclick: theme_toggle}, '◐'),
        h('button', {type: 'button', class: 'icon', 'aria-label': 'Keys', title: 'Keys (?)', onclick: keys_help}, '?'));
    const search = h('dialog', {id: 'search', 'aria-label': 'Search'}, h('input', {type: 'text', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': 'hits', 'aria-label': 'search', placeholder: 'scenario, exit, instruction, run, page', spellcheck: 'false', autocomplete: 'off'}),
        h('p', {class: 'count dim small', 'aria-live': 'polite'}), h('div', {id: 'hits', role: 'listbox', 'aria-label': 'hits', hidden: true}));
    const key = (k, text) => [h('dt', {}, k.split(' ').map((x) => [h('kbd', {}, x), ' '])), h('dd', {}, text)];
    const help = h('dialog', {id: 'help', 'aria-label': 'Keys'}, h('h2', {}, 'Keys'), h('dl', {}, key('/', 'search everything'), key('f', 'filter this page'), key('j', 'next row'), key('k', 'row before'), key('Enter', 'open'), key('u', 'back'), key('t', 'light or dark'), key('?', 'this list'), nav.map((p) => key('g ' + p.key, p.nav))),
        h('button', {type: 'button', onclick: () => help.close()}, 'Close'));
    for (const d of [search, help]) d.addEventListener('click', (e) => { if (e.target === d) d.close(); });
    document.body.replaceChildren(h('a', {class: 'skip', href: '#main', onclick: (e) => { e.preventDefault(); document.getElementById('main').focus(); }}, 'Skip to the content'), bar_,
        h('nav', {'aria-label': 'Pages'}, links), h('main', {id: 'main', tabindex: -1}),
        h('footer', {}, 'conf ' + M.d.version + (M.d.generated ? ' · written ' + date_text(M.d.generated) : '')), search, help, h('div', {id: 'live', class: 'sr', 'aria-live': 'polite'}));
}
(function start() {
    document.documentElement.dataset.theme = theme_get();
    const inline = document.getElementById('part:data.js');
    if (inline) conf_dashboard(JSON.parse(inline.textContent));
    if (!DATA.main || DATA.main.schema !== 1) {
        document.body.replaceChildren(h('main', {}, h('h1', {}, 'No data'), h('p', {}, 'data.js belongs beside this page.')));
        return;
    }
    model_open();
    frame();
    window.addEventListener('hashchange', route);
    document.addEventListener('keydown', on_key);
    route();
}());
