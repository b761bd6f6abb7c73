/* SPDX-License-Identifier: Apache-2.0
 * core.js - what the pages share: the data, elements, statuses, the router, the keyboard, filters, charts.
 * Text from outside reaches the document as text nodes and attribute values only; nothing is ever parsed as HTML. */
'use strict';

/* ---- the data: see docs/dashboard.md ---- */
const DATA = {main: null, coverage: null, detail: new Map()};
const waiting = new Map(); // file -> [functions]
function conf_dashboard(d) {
    DATA.main = d;
}
function conf_coverage(d) {
    DATA.coverage = d;
}
function conf_detail(n, d) {
    DATA.detail.set(n, d);
}
const policy = window.trustedTypes && trustedTypes.createPolicy('conf', {
    createScriptURL: (url) => {
        if (!/^(d\/([0-9]+|coverage)\.js|chart\.js)$/.test(url)) throw new TypeError('no script of the dashboard: ' + url);
        return url;
    },
});
/* Loads a part of the data once; parts of a single file are elements of the page. */
function load(file) {
    if (!waiting.has(file)) {
        waiting.set(file, new Promise((done, failed) => {
            const inline = document.getElementById('part:' + file);
            if (inline) {
                if (file === 'd/coverage.js') conf_coverage(JSON.parse(inline.textContent));
                else conf_detail(Number(file.match(/[0-9]+/)[0]), JSON.parse(inline.textContent));
                return done();
            }
            if (DATA.main.single) return failed(new Error(file + ' is not part of this page'));
            const s = document.createElement('script');
            s.src = policy ? policy.createScriptURL(file) : file;
            s.onload = () => done();
            s.onerror = () => failed(new Error(file + ' could not be loaded; it belongs beside this page'));
            document.head.append(s);
        }));
    }
    return waiting.get(file);
}

/* ---- elements ---- */
const SVG = 'http://www.w3.org/2000/svg';
function fill(e, attrs, kids) {
    for (const [k, v] of Object.entries(attrs || {})) {
        if (v === null || v === undefined || v === false) continue;
        if (k.startsWith('on')) e.addEventListener(k.slice(2), v);
        else if (k === 'style') for (const [p, x] of Object.entries(v)) e.style.setProperty(p, x);
        else e.setAttribute(k, v === true ? '' : v);
    }
    e.append(...kids.flat(9).filter((x) => x !== null && x !== undefined && x !== false).map((x) => x instanceof Node ? x : String(x)));
    return e;
}
function h(tag, attrs, ...kids) {
    return fill(document.createElement(tag), attrs, kids);
}
function s(tag, attrs, ...kids) {
    return fill(document.createElementNS(SVG, tag), attrs, kids);
}
function css(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/* ---- statuses ---- */
const STATUS = {
    P: {name: 'passed', mark: '✓', word: 'passed'},
    F: {name: 'failed', mark: '✗', word: 'failed'},
    E: {name: 'error', mark: '!', word: 'in error'},
    X: {name: 'xpassed', mark: '⁉', word: 'passed against its xfail'},
    x: {name: 'xfailed', mark: '~', word: 'failed as expected'},
    S: {name: 'skipped', mark: '–', word: 'skipped'},
    '.': {name: 'absent', mark: '', word: 'not run'},
};
const ORDER = 'FEXPxS';
const isBad = (c) => c === 'F' || c === 'E' || c === 'X';
function pill(c) {
    return h('span', {class: 'pill st-' + STATUS[c].name}, h('span', {'aria-hidden': 'true'}, STATUS[c].mark), ' ', STATUS[c].name);
}

/* ---- the model ---- */
const M = {};
const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const DIGIT = Object.fromEntries([...DIGITS].map((c, i) => [c, i]));
/* Two letters: 0 = not known, else 1 + 4094 / 40 steps an octave of nanoseconds. */
function duration_at(text, i) {
    const v = text ? DIGIT[text[2 * i]] * 64 + DIGIT[text[2 * i + 1]] : 0;
    return v ? Math.pow(2, (v - 1) * 40 / 4094) : 0;
}
function unrun(text) { // "P120F2" -> "PPP..FF"
    let out = '';
    for (const m of text.matchAll(/([^0-9])([0-9]*)/g)) out += m[1].repeat(m[2] ? Number(m[2]) : 1);
    return out;
}
function model_open() {
    const d = DATA.main;
    M.d = d;
    M.nb = d.backends.length;
    M.nc = d.cases.scenario.length;
    M.nruns = d.runs.id.length;
    M.cell = (c, b) => d.grid.now[c * M.nb + b];
    M.last = (c, b) => d.grid.last ? d.grid.last[c * M.nb + b] : '';
    M.main = (c, b) => d.grid.main ? d.grid.main[c * M.nb + b] : '';
    M.ns = (c, b) => duration_at(d.time, c * M.nb + b);
    M.reason = new Map();
    for (let i = 0; i < d.why.length; i += 2) M.reason.set(d.why[i], d.reasons[d.why[i + 1]]);
    M.why = (c, b) => M.reason.get(c * M.nb + b) || '';
    // What all paths begin with says nothing.
    const folders = d.suites.map((x) => x.slice(0, x.lastIndexOf('/') + 1));
    M.prefix = folders.length && folders.every((x) => x === folders[0]) ? folders[0] : '';
    d.suites_full = d.suites;
    d.suites = d.suites.map((x) => x.slice(M.prefix.length));
    M.suite = (c) => d.suites[d.cases.suite[c]];
    M.guest = (c) => d.guests[d.cases.guest[c]];
    M.name = (c) => d.cases.scenario[c];
    M.of = new Map();
    for (let c = 0; c < M.nc; c++) M.of.set(M.suite(c) + '::' + M.name(c) + '\n' + M.guest(c), c);
    M.count = {P: 0, F: 0, E: 0, S: 0, x: 0, X: 0, '.': 0};
    for (const c of d.grid.now) M.count[c]++;
    M.total = d.grid.now.length - M.count['.'];
    M.bad = [];
    for (let i = 0; i < d.grid.now.length; i++) if (isBad(d.grid.now[i])) M.bad.push(i);
}
function case_path(c, b) {
    return '#/case/' + encodeURIComponent(M.suite(c) + '::' + M.name(c)) + '/' + encodeURIComponent(M.guest(c)) +
        (b === undefined ? '' : '/' + encodeURIComponent(M.d.backends[b]));
}
function case_find(id, guest) {
    const short = M.prefix && id.startsWith(M.prefix) ? id.slice(M.prefix.length) : id;
    const c = M.of.get(short + '\n' + guest);
    return c === undefined ? -1 : c;
}
/* [cell, before, after] of every difference between two grids */
function differences(before, after) {
    const out = [];
    if (before) for (let i = 0; i < after.length; i++) if (before[i] !== after[i]) out.push([i, before[i], after[i]]);
    return out;
}
function change_kind(a, b) {
    if (isBad(b) && !isBad(a)) return a === '.' ? 'new, and bad' : 'broken';
    if (isBad(a) && !isBad(b)) return b === 'P' || b === 'x' ? 'fixed' : b === '.' ? 'gone' : 'no longer run';
    if (a === '.') return 'new';
    if (b === '.') return 'gone';
    return 'changed';
}
const CHANGE_ORDER = ['broken', 'new, and bad', 'fixed', 'no longer run', 'changed', 'gone', 'new'];

/* ---- numbers as people read them ---- */
function time_text(ns) {
    if (!ns) return '–';
    const us = ns / 1e3;
    const [v, unit] = us < 1e3 ? [us, 'µs'] : us < 1e6 ? [us / 1e3, 'ms'] : us < 6e7 ? [us / 1e6, 's'] : [us / 6e7, 'min'];
    return (v < 10 ? v.toFixed(2) : v < 100 ? v.toFixed(1) : v.toFixed(0)) + ' ' + unit;
}
function number(n) {
    return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ',');
}
function percent(n, total) {
    if (!total) return '–';
    const v = 100 * n / total;
    return (n === total ? '100' : v >= 99.9 ? '99.9' : v.toFixed(1)) + ' %'; // 100 only where nothing is missing
}
function date_text(ms) {
    return ms ? new Date(ms).toISOString().slice(0, 16).replace('T', ' ') + ' UTC' : 'time not known';
}
function ago(ms) {
    const d = (Date.now() - ms) / 1000;
    if (!ms || d < 0) return '';
    for (const [n, unit] of [[86400, 'day'], [3600, 'hour'], [60, 'minute']]) {
        const v = Math.floor(d / n);
        if (v) return v + ' ' + unit + (v > 1 ? 's' : '') + ' ago';
    }
    return 'just now';
}
function short_commit(c) {
    return c ? c.slice(0, 10) : '';
}
function run_name(r) {
    return '#' + M.d.runs.id[r];
}
function run_link(r) {
    return h('a', {href: '#/run/' + M.d.runs.id[r]}, run_name(r));
}
function plural(n, one, many) {
    return number(n) + ' ' + (n === 1 ? one : many || one + 's');
}

/* ---- pieces ---- */
function empty(text, hint) {
    return h('div', {class: 'empty'}, h('p', {}, text), hint && h('p', {class: 'dim'}, hint));
}
function code(text) {
    return h('code', {}, text);
}
function card(title, ...kids) {
    return h('section', {class: 'card'}, title && h('h2', {}, title), ...kids);
}
function delta(n, is_good_up, unit) {
    if (n === null || n === undefined || Number.isNaN(n)) return null;
    if (!n) return h('span', {class: 'delta dim'}, '±0');
    const good = n > 0 === is_good_up;
    return h('span', {class: 'delta ' + (good ? 'good' : 'bad')}, (n > 0 ? '+' : '−') + Math.abs(n) + (unit || ''));
}
function bar(covered, total, label) {
    const p = total ? 100 * covered / total : 0;
    return h('div', {class: 'bar', role: 'img', 'aria-label': (label ? label + ': ' : '') + percent(covered, total)},
        h('span', {class: 'bar-fill ' + (p === 100 ? 'full' : p >= 80 ? 'most' : p >= 50 ? 'half' : 'little'), style: {width: p + '%'}}));
}
const SELF_SAID = ['suite', 'guest', 'backend', 'status', 'why', 'what', 'kind', 'branch', 'time', 'change']; // columns that need no label on a phone
/* A table of at most `first` rows, and a button for more. rows: [[cell..]..] or functions that make one. */
function table(heads, rows, options) {
    const o = Object.assign({first: 100, caption: '', none: 'Nothing here.'}, options);
    const body = h('tbody');
    let shown = 0;
    const more = h('button', {class: 'more', type: 'button', onclick: () => grow(o.first * 5)});
    function grow(n) {
        for (const end = Math.min(rows.length, shown + n); shown < end; shown++) {
            const r = typeof rows[shown] === 'function' ? rows[shown]() : rows[shown];
            body.append(r instanceof Node ? r : h('tr', {}, r.map((x, i) => h(i === 0 && !o.plain ? 'th' : 'td',
                {class: heads[i] && heads[i].class, scope: i === 0 && !o.plain ? 'row' : null, 'data-label': i && !SELF_SAID.includes(heads[i]) ? heads[i].text || heads[i] : null}, x))));
        }
        more.textContent = 'Show more (' + number(rows.length - shown) + ')';
        more.hidden = shown >= rows.length;
    }
    grow(o.first);
    if (!rows.length) return empty(o.none);
    return h('div', {class: 'table-wrap', tabindex: 0, role: 'region', 'aria-label': o.caption || 'table'},
        h('table', {class: o.class || 'stack'}, o.caption && h('caption', {class: 'sr'}, o.caption),
            h('thead', {}, h('tr', {}, heads.map((x) => h('th', {scope: 'col', class: x.class, title: x.title}, x.node || x.text || x)))), body), more);
}
/* The head of a column that shows a share as a bar. */
function share_head() {
    return {text: '', node: h('span', {class: 'sr'}, 'share')};
}
function select(label, options, value, change) {
    const e = h('select', {onchange: () => change(e.value)}, options.map(([v, text]) => h('option', {value: v, selected: v === value}, text)));
    return h('label', {class: 'field'}, h('span', {}, label), e);
}
function check(label, value, change) {
    const e = h('input', {type: 'checkbox', onchange: () => change(e.checked)});
    e.checked = value;
    return h('label', {class: 'field inline'}, e, h('span', {}, label));
}
function copy_button(text) {
    const b = h('button', {type: 'button', class: 'copy', onclick: async () => {
        try {
            await navigator.clipboard.writeText(text);
        } catch (e) { // a page of file:// may have no clipboard
            const area = h('textarea', {class: 'sr', 'aria-hidden': 'true'});
            area.value = text;
            document.body.append(area);
            area.select();
            document.execCommand('copy');
            area.remove();
        }
        b.textContent = 'copied';
        say('Copied');
        setTimeout(() => { b.textContent = 'copy'; }, 1500);
    }}, 'copy');
    return b;
}
function command(text) {
    return h('div', {class: 'command'}, h('span', {class: 'prompt', 'aria-hidden': 'true'}, '$'), h('code', {tabindex: 0}, text), copy_button(text));
}
function say(text) {
    document.getElementById('live').textContent = text;
}

/* ---- the words of a filter: `suite:exits status:failed backend:kvm words` ---- */
/* suite:"two words" */
function filter_word(key, value) {
    return key + ':' + (/[\s"]/.test(value) ? '"' + value.replace(/"/g, '') + '"' : value);
}
const FILTER_KEYS = ['suite', 'status', 'backend', 'guest', 'reason'];
function filter_parse(text) {
    const f = {words: []};
    for (const m of text.matchAll(/(?:([a-z]+):)?("[^"]*"|\S+)/g)) {
        const word = m[2].replace(/"/g, '').toLowerCase();
        if (m[1] && FILTER_KEYS.includes(m[1])) (f[m[1]] = f[m[1]] || []).push(word);
        else if (m[1]) f.words.push(m[1] + ':' + word);
        else f.words.push(word);
    }
    return f;
}
/* The backends of a case that the filter leaves; empty: the case is not shown. */
function filter_case(f, c, backends) {
    const name = (M.suite(c) + '::' + M.name(c)).toLowerCase();
    if (f.words.some((w) => !name.includes(w))) return [];
    if (f.suite && !f.suite.some((w) => M.suite(c).toLowerCase().includes(w))) return [];
    if (f.guest && !f.guest.some((w) => M.guest(c).includes(w))) return [];
    if (!f.status && !f.reason) return backends;
    return backends.filter((b) => {
        const st = M.cell(c, b);
        return (!f.status || f.status.some((w) => w === 'bad' ? isBad(st) : STATUS[st].name.startsWith(w) && (w !== 'x' || st === 'x'))) &&
            (!f.reason || f.reason.some((w) => M.why(c, b).toLowerCase().includes(w)));
    });
}
function filter_backends(f) {
    const all = M.d.backends.map((_, i) => i);
    return f.backend ? all.filter((b) => f.backend.some((w) => M.d.backends[b].toLowerCase().includes(w))) : all;
}

/* ---- charts: Chart.js, where the program was built with it ---- */
let charts = [];
async function chart(holder, config) {
    if (!M.d.has_charts) {
        holder.replaceChildren(h('p', {class: 'dim'}, 'Built without charts; the numbers are in the table.'));
        return;
    }
    if (!window.Chart) await load('chart.js');
    if (!holder.isConnected) return;
    const canvas = h('canvas', {role: 'img', 'aria-label': holder.getAttribute('data-label') || 'chart'});
    holder.replaceChildren(canvas);
    const text = css('--dim'), grid = css('--line');
    const base = {
        animation: false, responsive: true, maintainAspectRatio: false, interaction: {mode: 'index', intersect: false},
        plugins: {legend: {position: 'bottom', labels: {color: text, boxWidth: 10, boxHeight: 10, usePointStyle: true}},
            tooltip: {backgroundColor: css('--card'), titleColor: css('--text'), bodyColor: css('--text'), borderColor: grid, borderWidth: 1}},
        scales: {},
        elements: {point: {radius: 0, hitRadius: 6}, line: {borderWidth: 1.75}},
    };
    for (const [k, v] of Object.entries((config.options && config.options.scales) || {})) {
        base.scales[k] = Object.assign({}, v, {grid: Object.assign({color: grid, drawBorder: false}, v.grid), ticks: Object.assign({color: text, maxRotation: 0, autoSkipPadding: 16}, v.ticks),
            title: v.title && Object.assign({color: text}, v.title)});
    }
    const own = Object.assign({}, config.options, {scales: undefined, plugins: undefined});
    const options = Object.assign(base, Object.fromEntries(Object.entries(own).filter(([, v]) => v !== undefined)));
    Object.assign(options.plugins, (config.options && config.options.plugins) || {});
    charts.push(new Chart(canvas, {type: config.type, data: config.data, options}));
}
function chart_holder(label, cls) {
    return h('div', {class: 'chart ' + (cls || ''), 'data-label': label});
}
function run_labels(from) {
    const labels = [];
    for (let r = from || 0; r < M.nruns; r++) labels.push(run_name(r));
    return labels;
}

/* ---- the router ---- */
const PAGES = []; // {path, key, title, nav, render(args, query), icon}
function page(p) {
    PAGES.push(p);
}
let current = null;
function query_of(text) {
    return new URLSearchParams(text || '');
}
function go(hash) {
    if (location.hash === hash) route();
    else location.hash = hash;
}
/* Changes the query of the page without a new entry in the browser's history. */
function query_set(changes) {
    const [path, q] = location.hash.split('?');
    const query = query_of(q);
    for (const [k, v] of Object.entries(changes)) {
        if (v === '' || v === null || v === undefined || v === false) query.delete(k);
        else query.set(k, v);
    }
    const text = query.toString();
    history.replaceState(null, '', (path || '#/') + (text ? '?' + text : ''));
}
function route() {
    const [path, q] = (location.hash || '#/').slice(1).split('?');
    let parts;
    try {
        parts = path.split('/').slice(1).map(decodeURIComponent);
    } catch (e) {
        parts = [path];
    }
    const p = PAGES.find((x) => x.path === (parts[0] || '')) || null;
    const root = document.getElementById('main');
    charts.forEach((c) => c.destroy());
    charts = [];
    if (current && current.leave) current.leave();
    current = p || {};
    current.leave = null;
    root.replaceChildren();
    const title = p ? p.title : 'No such page';
    const head = h('h1', {tabindex: -1}, title);
    root.append(head);
    if (p) {
        const made = p.render(parts.slice(1), query_of(q), head);
        root.append(...[made].flat(9).filter(Boolean));
    } else {
        root.append(empty('There is no page ' + path + '.'), h('p', {}, h('a', {href: '#/'}, 'Overview')));
    }
    document.title = head.textContent + ' · conf';
    for (const a of document.querySelectorAll('nav a')) {
        const on = p && a.getAttribute('href') === '#/' + (p.of === undefined ? p.path : p.of);
        if (on) a.setAttribute('aria-current', 'page');
        else a.removeAttribute('aria-current');
    }
    document.body.classList.remove('nav-open');
    if (route.is_first) route.is_first = false;
    else {
        head.focus({preventScroll: true});
        window.scrollTo(0, 0);
    }
    document.documentElement.dataset.ready = (Number(document.documentElement.dataset.ready) || 0) + 1;
}
route.is_first = true;

/* ---- light and dark ---- */
function theme_get() {
    try {
        return localStorage.getItem('conf-theme') || 'auto';
    } catch (e) {
        return 'auto';
    }
}
function theme_set(t) {
    try {
        localStorage.setItem('conf-theme', t);
    } catch (e) { /* this session only */ }
    document.documentElement.dataset.theme = t;
}
function theme_is_dark() {
    const t = document.documentElement.dataset.theme;
    return t === 'dark' || (t !== 'light' && matchMedia('(prefers-color-scheme: dark)').matches);
}
function theme_toggle() {
    theme_set(theme_is_dark() ? 'light' : 'dark');
    route();
}

/* ---- search over everything ---- */
function search_all(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const out = [];
    const fits = (t) => words.every((w) => t.toLowerCase().includes(w));
    if (!words.length) return out;
    for (const p of PAGES) if (p.nav && fits(p.nav + ' page')) out.push({kind: 'page', text: p.nav, href: '#/' + p.path});
    for (let c = 0, n = 0; c < M.nc && n < 40; c++) {
        if (fits(M.suite(c) + '::' + M.name(c) + ' ' + M.guest(c))) {
            let worst = '.';
            for (let b = 0; b < M.nb; b++) {
                const st = M.cell(c, b);
                if (st !== '.' && (worst === '.' || ORDER.indexOf(st) < ORDER.indexOf(worst))) worst = st;
            }
            out.push({kind: 'scenario', text: M.name(c), note: M.suite(c) + ' · ' + M.guest(c), status: worst, href: case_path(c)});
            n++;
        }
    }
    for (const [name] of M.d.exits) if (fits(name + ' exit')) out.push({kind: 'exit', text: name, href: '#/exits?q=' + encodeURIComponent(name)});
    if (DATA.coverage) {
        let n = 0;
        for (const k of DATA.coverage.kinds) {
            for (const item of k.items) {
                if (n < 30 && fits(item[0] + ' ' + k.name)) {
                    out.push({kind: k.name, text: item[0], href: '#/coverage/' + encodeURIComponent(k.name) + '?q=' + encodeURIComponent(item[0])});
                    n++;
                }
            }
        }
    }
    for (let r = M.nruns - 1, n = 0; r >= 0 && n < 10; r--) {
        if (fits(run_name(r) + ' ' + M.d.runs.commit[r] + ' ' + M.d.runs.branch[r])) {
            out.push({kind: 'run', text: run_name(r), note: short_commit(M.d.runs.commit[r]) + ' ' + M.d.runs.branch[r], href: '#/run/' + M.d.runs.id[r]});
            n++;
        }
    }
    return out;
}
function search_open() {
    const dialog = document.getElementById('search');
    if (dialog.open) return;
    const input = dialog.querySelector('input'), list = dialog.querySelector('[role=listbox]');
    let at = 0, hits = [];
    function mark() {
        [...list.children].forEach((e, i) => e.setAttribute('aria-selected', String(i === at)));
        const e = list.children[at];
        if (e) {
            e.scrollIntoView({block: 'nearest'});
            input.setAttribute('aria-activedescendant', e.id);
        } else input.removeAttribute('aria-activedescendant');
    }
    function open_hit(i) {
        if (!hits[i]) return;
        dialog.close();
        go(hits[i].href);
    }
    function refresh() {
        hits = search_all(input.value);
        at = 0;
        list.replaceChildren(...hits.map((x, i) => h('div', {role: 'option', id: 'hit' + i, class: 'hit', onclick: () => open_hit(i)},
            h('span', {class: 'hit-kind'}, x.kind), h('span', {class: 'hit-text'}, x.text), x.note && h('span', {class: 'dim'}, x.note), x.status && x.status !== '.' && pill(x.status))));
        dialog.querySelector('.count').textContent = input.value ? plural(hits.length, 'hit') : 'Scenarios, exits, pages, runs, covered items';
        list.hidden = !hits.length;
        mark();
    }
    input.value = '';
    input.oninput = refresh;
    input.onkeydown = (e) => {
        if (e.key === 'ArrowDown' || (e.key === 'n' && e.ctrlKey)) at = Math.min(hits.length - 1, at + 1);
        else if (e.key === 'ArrowUp' || (e.key === 'p' && e.ctrlKey)) at = Math.max(0, at - 1);
        else if (e.key === 'Enter') return open_hit(at);
        else return;
        e.preventDefault();
        mark();
    };
    refresh();
    dialog.showModal();
    input.focus();
    if (M.d.has_coverage) load('d/coverage.js').then(() => { if (dialog.open && input.value) refresh(); }, () => {});
}

/* ---- the keyboard ---- */
let after_g = 0;
function keys_help() {
    const dialog = document.getElementById('help');
    if (!dialog.open) dialog.showModal();
}
function step_focus(by) {
    const all = [...document.querySelectorAll('#main [data-row], #main tbody a, #main .list a')].filter((e) => e.offsetParent !== null);
    if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.max(0, Math.min(all.length - 1, at + by))];
    next.focus();
    next.scrollIntoView({block: 'nearest'});
}
function on_key(e) {
    const tag = e.target.tagName;
    if (e.ctrlKey || e.metaKey || e.altKey || tag === 'INPUT' || tag === 'SELECT' || tag === 'TEXTAREA') {
        if (e.key === 'Escape' && tag === 'INPUT') e.target.blur();
        return;
    }
    if (document.querySelector('dialog[open]')) return;
    if (after_g && Date.now() - after_g < 1500) {
        after_g = 0;
        const p = PAGES.find((x) => x.key === e.key);
        if (p) {
            e.preventDefault();
            return go('#/' + p.path);
        }
    }
    const local = current && current.on_key && current.on_key(e);
    if (local) return e.preventDefault();
    switch (e.key) {
    case '/': search_open(); break;
    case '?': keys_help(); break;
    case 'j': step_focus(1); break;
    case 'k': step_focus(-1); break;
    case 'g': after_g = Date.now(); break;
    case 't': theme_toggle(); break;
    case 'f': {
        const field = document.querySelector('#main input[type=search]');
        if (!field) return;
        field.focus();
        break;
    }
    case 'u': history.back(); break;
    default: return;
    }
    e.preventDefault();
}
