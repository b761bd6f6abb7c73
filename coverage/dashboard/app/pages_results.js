/* SPDX-License-Identifier: Apache-2.0
 * pages_results.js - what passed and what did not: overview, map, failures, one case, runs, trends, flaky. */
'use strict';

/* ---- overview ---- */
function run_facts(r) {
    const d = M.d.runs;
    if (r < 0) return null;
    return h('p', {class: 'facts'},
        h('span', {}, 'run ', run_link(r)),
        d.commit[r] && h('span', {}, 'commit ', code(short_commit(d.commit[r]))),
        d.branch[r] && h('span', {}, 'branch ', d.branch[r]),
        d.host[r] && h('span', {}, 'host ', d.host[r]),
        d.time[r] ? h('span', {}, date_text(d.time[r]), ' ', h('span', {class: 'dim'}, ago(d.time[r]))) : null,
        h('span', {}, time_text(d.ns[r])),
        d.cut_short[r] && h('span', {class: 'warn'}, 'cut short: ', d.cut_short[r]));
}
function count_in(grid, st) {
    let n = 0;
    if (!grid) return NaN;
    for (const c of grid) if (c === st) n++;
    return n;
}
function tile(st) {
    const n = M.count[st], g = M.d.grid;
    const up = st === 'P' || st === 'x';
    const d1 = g.last && n - count_in(g.last, st), d2 = g.main && n - count_in(g.main, st);
    const quiet = !n && !d1 && !d2;
    return h('a', {class: 'tile st-' + STATUS[st].name + (quiet ? ' quiet' : ''), href: '#/map?q=' + encodeURIComponent('status:' + STATUS[st].name)},
        h('span', {class: 'tile-n'}, number(n)), h('span', {class: 'tile-name'}, STATUS[st].name),
        h('span', {class: 'tile-d'}, g.last ? [delta(d1, up), ' last'] : '', g.main ? [' ', delta(d2, up), ' main'] : ''));
}
function change_rows(before) {
    const nb = M.nb;
    return differences(before, M.d.grid.now)
        .map(([i, a, b]) => ({i, a, b, kind: change_kind(a, b)}))
        .sort((x, y) => CHANGE_ORDER.indexOf(x.kind) - CHANGE_ORDER.indexOf(y.kind) || x.i - y.i)
        .map((x) => () => [h('a', {href: case_path(Math.floor(x.i / nb), x.i % nb)}, M.name(Math.floor(x.i / nb))),
            M.suite(Math.floor(x.i / nb)), M.guest(Math.floor(x.i / nb)), M.d.backends[x.i % nb],
            h('span', {class: 'kind ' + (x.kind === 'broken' || x.kind === 'new, and bad' ? 'bad' : x.kind === 'fixed' ? 'good' : 'dim')}, x.kind),
            h('span', {class: 'nowrap'}, pill(x.a), ' → ', pill(x.b))]);
}
function changes_card() {
    const d = M.d;
    if (!d.grid.last && !d.grid.main) {
        return card('What changed', empty('Only one run is known.', 'With --history the dashboard compares with the last run and with main.'));
    }
    const holder = h('div');
    const choices = [];
    if (d.grid.last) choices.push(['last', 'since the last run (' + run_name(d.last) + ')', d.grid.last]);
    if (d.grid.main) choices.push(['main', 'since main (' + run_name(d.main) + ')', d.grid.main]);
    const rows = choices.map((c) => change_rows(c[2]));
    const buttons = choices.map((c, i) => h('button', {type: 'button', 'aria-pressed': 'false', onclick: () => show(i)}, c[1], h('span', {class: 'count-badge'}, number(rows[i].length))));
    function show(i) {
        buttons.forEach((b, k) => b.setAttribute('aria-pressed', String(k === i)));
        holder.replaceChildren(table(['scenario', 'suite', 'guest', 'backend', 'what', 'status'], rows[i],
            {first: 12, caption: 'results that changed ' + choices[i][1], none: 'No result changed ' + choices[i][1] + '.'}));
    }
    show(rows[0].length || rows.length < 2 ? 0 : 1);
    return card('What changed', h('div', {class: 'segmented'}, buttons), holder);
}
function suite_table() {
    const d = M.d, n = d.suites.length;
    const sums = Array.from({length: n * M.nb}, () => ({P: 0, bad: 0, S: 0, all: 0}));
    for (let c = 0; c < M.nc; c++) {
        for (let b = 0; b < M.nb; b++) {
            const st = M.cell(c, b), x = sums[d.cases.suite[c] * M.nb + b];
            if (st === '.') continue;
            x.all++;
            if (isBad(st)) x.bad++;
            else if (st === 'S') x.S++;
            else x.P++;
        }
    }
    const badness = (i) => sums.slice(i * M.nb, (i + 1) * M.nb).reduce((t, x) => t + x.bad, 0);
    const order = d.suites.map((_, i) => i).sort((a, b) => badness(b) - badness(a) || a - b);
    const rows = order.map((i) => () => [h('a', {href: '#/map?q=' + encodeURIComponent(filter_word('suite', d.suites[i]))}, d.suites[i]),
        ...d.backends.map((name, b) => {
            const x = sums[i * M.nb + b], ran = x.all - x.S;
            if (!x.all) return h('span', {class: 'heat none'}, h('span', {class: 'sr'}, 'not run'));
            const words = name + ', ' + d.suites[i] + ': ' + x.P + ' passed, ' + x.bad + ' bad, ' + x.S + ' skipped';
            return h('a', {class: 'heat ' + (x.bad ? 'bad' : ran ? 'good' : 'skip'), title: words, 'aria-label': words,
                href: '#/map?q=' + encodeURIComponent(filter_word('suite', d.suites[i]) + ' ' + filter_word('backend', name))},
                x.bad ? x.bad + ' ✗' : ran ? number(ran) : '–');
        })]);
    return card('Suites and backends', h('p', {class: 'dim small'}, 'How many passed; ✗ how many did not; – all skipped.'),
        table(['suite', ...d.backends.map((b) => ({text: b, class: 'tilt', node: h('span', {}, b)}))], rows, {class: 'heat-table', first: 40, caption: 'results by suite and backend'}));
}
function kind_rows() {
    const d = M.d;
    return d.kinds.map((k) => h('a', {class: 'kind-row', href: kind_href(k.name), 'data-row': true},
        h('span', {class: 'kind-name'}, k.title), bar(k.covered, k.total, k.title),
        h('span', {class: 'num'}, percent(k.covered, k.total)),
        h('span', {class: 'num dim'}, number(k.covered) + ' / ' + number(k.total)),
        k.main === null ? '' : h('span', {title: 'since main'}, delta(k.covered - k.main, true))));
}
function flaky_rows() {
    return M.d.flaky.map((f) => () => [h('a', {href: case_path(f[0], f[1])}, M.name(f[0])), M.suite(f[0]), M.guest(f[0]), M.d.backends[f[1]],
        h('span', {class: 'num'}, (100 * f[6]).toFixed(1) + ' %'), f[3] + ' / ' + f[2], String(f[4]), String(f[5]),
        f[7].map((r, i) => [i ? ' ' : '', run_link(r)])]);
}
function trend_text(t) {
    const factor = t[5] / t[4];
    return h('span', {class: factor > 1 ? 'bad' : 'good'}, (factor > 1 ? '▲ ' : '▼ '), factor > 1 ? '+' + (100 * (factor - 1)).toFixed(0) + ' %' : '−' + (100 * (1 - factor)).toFixed(0) + ' %');
}
function trend_rows() {
    return M.d.trends.map((t) => () => [t[1] < 0 ? h('span', {}, 'all scenarios') : h('a', {href: case_path(t[1], t[0])}, M.name(t[1])),
        t[1] < 0 ? '' : M.suite(t[1]), M.d.backends[t[0]], trend_text(t), time_text(t[4]) + ' → ' + time_text(t[5]), run_link(t[2])]);
}
/* A run may have brought measurements or coverage alone. */
function has_results(r) {
    return [...ORDER].some((st) => M.d.runs.n[st][r]);
}
function stacked_runs(holder, from) {
    const r = M.d.runs, cut = (a) => a.slice(from).map((x, i) => has_results(from + i) ? x : null);
    const bad = (st) => ({type: 'bar', label: STATUS[st].name, data: cut(r.n[st]), backgroundColor: css('--' + STATUS[st].name), stack: 'bad', yAxisID: 'bad', barPercentage: 1, categoryPercentage: 0.8, order: 0});
    const area = (st, order) => ({type: 'line', label: STATUS[st].name, data: cut(r.n[st]), borderColor: css('--' + STATUS[st].name), backgroundColor: css('--' + STATUS[st].name + '-area'), fill: order === 1 ? 'origin' : '-1', stack: 'good', order, spanGaps: true});
    chart(holder, {type: 'bar', data: {labels: run_labels(from), datasets: [area('P', 1), area('S', 2), bad('F'), bad('E'), bad('X')]},
        options: {scales: {x: {stacked: true}, y: {stacked: true, beginAtZero: true, ticks: {maxTicksLimit: 5}, title: {display: true, text: 'passed, skipped'}},
            bad: {stacked: true, position: 'right', beginAtZero: true, suggestedMax: 4, ticks: {maxTicksLimit: 5, precision: 0}, title: {display: true, text: 'bad'}, grid: {display: false}}}}});
}
page({path: '', key: 'o', title: 'Overview', nav: 'Overview', render: (args, query, head) => {
    const d = M.d, n = M.bad.length;
    head.textContent = !M.total ? 'No results' : n ? plural(n, 'result') + (n === 1 ? ' needs a look' : ' need a look') : 'Everything passes';
    const ran = M.total - M.count.S;
    const hero = h('div', {class: 'hero ' + (!M.total ? 'idle' : n ? 'bad' : 'good')},
        h('div', {class: 'hero-mark', 'aria-hidden': 'true'}, !M.total ? '?' : n ? '✗' : '✓'),
        h('div', {}, head, h('p', {class: 'hero-line'}, plural(M.nc, 'case') + ' on ' + plural(M.nb, 'backend') + ': ' + number(ran) + ' ran, ' + number(M.count.S) + ' skipped' +
            (ran ? ', ' + percent(M.count.P + M.count.x, ran) + ' as expected' : '')), run_facts(d.now)));
    const out = [hero, h('div', {class: 'tiles'}, [...ORDER].map(tile))];
    if (n) {
        out.push(card('Needs a look', table(['scenario', 'suite', 'guest', 'backend', 'status', 'why'], failure_rows(M.bad.slice(0, 8)), {caption: 'failures'}),
            n > 8 && h('p', {}, h('a', {href: '#/failures'}, 'All ' + number(n) + ' failures'))));
    }
    out.push(changes_card());
    const covered = d.cover_changes.filter((x) => x[0] === d.now && (x[8] || x[10]));
    if (covered.length) out.push(card('Coverage that came and went', cover_change_table(covered)));
    const two = [];
    if (d.kinds.length) two.push(card('Coverage', h('div', {class: 'kind-list'}, kind_rows())));
    if (M.nruns > 1) {
        const holder = chart_holder('Results of the last runs');
        two.push(card('Last runs', holder, h('p', {class: 'small'}, h('a', {href: '#/trends'}, 'All trends'))));
        requestAnimationFrame(() => stacked_runs(holder, Math.max(0, M.nruns - 60)));
    }
    if (two.length) out.push(h('div', {class: 'columns'}, two));
    out.push(suite_table());
    if (d.flaky.length || d.trends.length) {
        out.push(h('div', {class: 'columns'},
            d.flaky.length ? card('Flaky', table(['scenario', 'backend', 'rate'], d.flaky.slice(0, 6).map((f) => [h('a', {href: case_path(f[0], f[1])}, M.name(f[0])), M.d.backends[f[1]], (100 * f[6]).toFixed(1) + ' %']), {caption: 'flaky'}),
                h('p', {class: 'small'}, h('a', {href: '#/flaky'}, 'All ' + d.flaky.length))) : null,
            d.trends.length ? card('Slower and faster', table(['what', 'backend', 'change', 'since'], d.trends.slice(0, 6).map((t) => [t[1] < 0 ? 'all scenarios' : h('a', {href: case_path(t[1], t[0])}, M.name(t[1])), M.d.backends[t[0]], trend_text(t), run_link(t[2])]), {caption: 'durations'}),
                h('p', {class: 'small'}, h('a', {href: '#/trends'}, 'All trends'))) : null));
    }
    return out;
}});

/* ---- the map: case x backend on a canvas ---- */
page({path: 'map', key: 'm', title: 'Heat map', nav: 'Heat map', render: (args, query, head) => {
    const SIZES = [4, 10, 22];
    let size = Number(query.get('size')) || (M.nc > 400 ? 10 : 22);
    if (!SIZES.includes(size)) size = 22;
    let mode = query.get('show') || 'status';
    let rows = [], cols = [], at = [-1, -1];
    const input = h('input', {type: 'search', value: query.get('q') || '', placeholder: 'words suite:… status:bad backend:… guest:… reason:…', 'aria-label': 'filter', oninput: () => apply(), spellcheck: 'false'});
    const info = h('p', {class: 'map-info', 'aria-live': 'polite'});
    const canvas = h('canvas', {class: 'map-canvas', tabindex: 0, role: 'img'});
    const space = h('div', {class: 'map-space'});
    const names = h('div', {class: 'map-names'});
    const heads = h('div', {class: 'map-heads', 'aria-hidden': 'true'});
    const scroll = h('div', {class: 'map-scroll'}, h('div', {class: 'map-sticky'}, names, canvas), space);
    const frame = h('div', {class: 'map-frame'}, heads, scroll);
    const legend = h('p', {class: 'legend'});
    const none = empty('No result fits this filter.');
    const colors = {};
    function colour_read() {
        for (const k of Object.keys(STATUS)) colors[k] = css('--' + STATUS[k].name);
        colors.line = css('--line');
        colors.text = css('--card');
        colors.mark = css('--text');
        colors.slow = ['--t0', '--t1', '--t2', '--t3', '--t4', '--t5', '--t6'].map(css);
    }
    function apply() {
        query_set({q: input.value, size: size === 22 ? '' : size, show: mode === 'status' ? '' : mode});
        const f = filter_parse(input.value);
        cols = filter_backends(f);
        rows = [];
        for (let c = 0; c < M.nc; c++) if (filter_case(f, c, cols).length) rows.push(c);
        if (f.status || f.reason) cols = cols.filter((b) => rows.some((c) => filter_case(f, c, [b]).length));
        at = [-1, -1];
        let n = 0;
        for (const c of rows) for (const b of cols) if (M.cell(c, b) !== '.') n++;
        info.textContent = plural(rows.length, 'case') + ' × ' + plural(cols.length, 'backend') + ', ' + plural(n, 'result');
        canvas.setAttribute('aria-label', 'Heat map of ' + info.textContent + '. Arrow keys move, Enter opens.');
        none.hidden = rows.length > 0;
        frame.hidden = !rows.length;
        scroll.scrollTop = 0;
        layout();
    }
    let width = 0, height = 0, cellw = 0, namew = 0;
    function layout() {
        const narrow = window.innerWidth < 700;
        namew = size < 22 ? 0 : narrow ? 130 : Math.min(420, Math.floor(frame.clientWidth * 0.42));
        const room = frame.clientWidth - namew - (narrow ? 26 : 70); // the last name leans over the edge
        cellw = Math.max(narrow ? 14 : 18, Math.min(96, Math.floor(room / Math.max(1, cols.length))));
        height = Math.max(120, Math.min(rows.length * size, Math.floor(window.innerHeight * 0.7)));
        width = cellw * cols.length;
        scroll.style.height = height + 'px';
        space.style.height = Math.max(0, rows.length * size - height) + 'px';
        names.style.width = namew + 'px';
        heads.style.paddingLeft = namew + 'px';
        heads.replaceChildren(...cols.map((b) => h('span', {style: {width: cellw + 'px'}}, h('span', {}, M.d.backends[b]))));
        const ratio = window.devicePixelRatio || 1;
        canvas.width = Math.round(width * ratio);
        canvas.height = Math.round(height * ratio);
        canvas.style.width = width + 'px';
        canvas.style.height = height + 'px';
        paint();
    }
    function colour_of(c, b) {
        const st = M.cell(c, b);
        if (mode === 'status' || st === '.' || st === 'S') return colors[st];
        const ns = M.ns(c, b);
        if (!ns) return colors.S;
        return colors.slow[Math.max(0, Math.min(6, Math.floor(Math.log10(ns) - 3.5)))]; // each step is 10 times
    }
    function paint() {
        const g = canvas.getContext('2d'), ratio = window.devicePixelRatio || 1;
        g.setTransform(ratio, 0, 0, ratio, 0, 0);
        g.clearRect(0, 0, width, height);
        const top = scroll.scrollTop, first = Math.floor(top / size), end = Math.min(rows.length, Math.ceil((top + height) / size));
        const gap = size > 4 ? 1 : 0;
        for (let i = first; i < end; i++) {
            const y = i * size - top;
            for (let k = 0; k < cols.length; k++) {
                const st = M.cell(rows[i], cols[k]);
                if (st === '.') continue;
                g.fillStyle = colour_of(rows[i], cols[k]);
                g.fillRect(k * cellw, y, cellw - gap, size - gap);
            }
        }
        if (size >= 22 && mode === 'status') {
            g.font = '600 12px system-ui, sans-serif';
            g.textAlign = 'center';
            g.textBaseline = 'middle';
            for (let i = first; i < end; i++) {
                for (let k = 0; k < cols.length; k++) {
                    const st = M.cell(rows[i], cols[k]);
                    if (st === '.' || st === 'P') continue;
                    g.fillStyle = st === 'S' ? colors.mark : colors.text;
                    g.fillText(STATUS[st].mark, k * cellw + cellw / 2, i * size - top + size / 2);
                }
            }
        }
        if (at[0] >= first && at[0] < end) {
            g.strokeStyle = colors.mark;
            g.lineWidth = 2;
            g.strokeRect(at[1] * cellw + 1, at[0] * size - top + 1, cellw - 3, Math.max(3, size - 3));
        }
        if (namew) {
            names.replaceChildren(...rows.slice(first, end).map((c, i) => h('a', {href: case_path(c), 'data-row': true, title: M.suite(c) + '::' + M.name(c) + ' · ' + M.guest(c),
                style: {top: (first + i) * size - top + 'px', height: size + 'px'}}, M.name(c), h('span', {class: 'dim'}, ' ', M.guest(c)))));
        } else names.replaceChildren();
    }
    function describe() {
        if (at[0] < 0) return;
        const c = rows[at[0]], b = cols[at[1]], st = M.cell(c, b);
        info.replaceChildren(h('strong', {}, M.name(c)), ' ', M.suite(c) + ' · ' + M.guest(c) + ' · ' + M.d.backends[b] + ' ', pill(st), ' ', st === '.' ? '' : time_text(M.ns(c, b)), M.why(c, b) ? ' · ' + M.why(c, b) : '');
    }
    function cell_at(e) {
        const r = canvas.getBoundingClientRect();
        const i = Math.floor((e.clientY - r.top + scroll.scrollTop) / size), k = Math.floor((e.clientX - r.left) / cellw);
        return i >= 0 && i < rows.length && k >= 0 && k < cols.length ? [i, k] : [-1, -1];
    }
    function move(i, k) {
        at = [Math.max(0, Math.min(rows.length - 1, i)), Math.max(0, Math.min(cols.length - 1, k))];
        const y = at[0] * size;
        if (y < scroll.scrollTop) scroll.scrollTop = y;
        else if (y + size > scroll.scrollTop + height) scroll.scrollTop = y + size - height;
        describe();
        paint();
    }
    canvas.addEventListener('mousemove', (e) => {
        const now = cell_at(e);
        if (now[0] !== at[0] || now[1] !== at[1]) {
            at = now;
            describe();
            paint();
        }
    });
    canvas.addEventListener('click', (e) => {
        const [i, k] = cell_at(e);
        if (i >= 0) go(case_path(rows[i], cols[k]));
    });
    canvas.addEventListener('keydown', (e) => {
        const [i, k] = at;
        const page_rows = Math.floor(height / size);
        const to = {ArrowDown: [i + 1, k], ArrowUp: [i - 1, k], ArrowRight: [i, k + 1], ArrowLeft: [i, k - 1], PageDown: [i + page_rows, k], PageUp: [i - page_rows, k], Home: [0, k], End: [rows.length - 1, k]}[e.key];
        if (to) move(...to);
        else if (e.key === 'Enter' && i >= 0) go(case_path(rows[i], cols[k]));
        else return;
        e.preventDefault();
        e.stopPropagation();
    });
    let queued = false;
    scroll.addEventListener('scroll', () => {
        if (!queued) {
            queued = true;
            requestAnimationFrame(() => { queued = false; paint(); });
        }
    }, {passive: true});
    const resize = () => layout();
    window.addEventListener('resize', resize);
    current.leave = () => window.removeEventListener('resize', resize);
    current.on_key = (e) => {
        if (e.key !== '+' && e.key !== '-') return false;
        zoom(e.key === '+' ? 1 : -1);
        return true;
    };
    function zoom(by) {
        size = SIZES[Math.max(0, Math.min(2, SIZES.indexOf(size) + by))];
        zoom_field.querySelector('select').value = String(size);
        apply();
    }
    function legend_fill() {
        legend.replaceChildren(...(mode === 'status' ? [...ORDER].map((st) => h('button', {type: 'button', class: 'chip', onclick: () => {
            input.value = (input.value.replace(/status:\S+\s*/g, '') + ' status:' + STATUS[st].name).trim();
            apply();
        }}, h('span', {class: 'swatch st-' + STATUS[st].name, 'aria-hidden': 'true'}), STATUS[st].name + ' ', h('span', {class: 'dim'}, number(M.count[st]))))
            : ['< 30 µs', '< 300 µs', '< 3 ms', '< 30 ms', '< 300 ms', '< 3 s', 'more'].map((t, i) => h('span', {class: 'chip'}, h('span', {class: 'swatch', style: {background: css('--t' + i)}}), t))));
    }
    const zoom_field = select('rows', [['4', 'dense'], ['10', 'small'], ['22', 'with names']], String(size), (v) => { size = Number(v); apply(); });
    const tools = h('div', {class: 'tools'}, h('label', {class: 'field grow'}, h('span', {}, 'Filter'), input),
        select('show', [['status', 'status'], ['time', 'duration']], mode, (v) => { mode = v; legend_fill(); apply(); }),
        zoom_field);
    requestAnimationFrame(() => { colour_read(); legend_fill(); apply(); });
    return [tools, legend, info, frame, none, h('p', {class: 'dim small print-hide'}, 'Point at a cell, or use the arrow keys; Enter opens it. + and − change the height of rows.')];
}});

/* ---- failures ---- */
function failure_rows(cells) {
    return cells.map((i) => () => {
        const c = Math.floor(i / M.nb), b = i % M.nb;
        return [h('a', {href: case_path(c, b)}, M.name(c)), M.suite(c), M.guest(c), M.d.backends[b], pill(M.cell(c, b)), h('span', {class: 'why'}, M.why(c, b))];
    });
}
page({path: 'failures', key: 'f', title: 'Failures', nav: 'Failures', render: (args, query) => {
    const holder = h('div');
    const input = h('input', {type: 'search', value: query.get('q') || '', 'aria-label': 'filter', placeholder: 'words suite:… backend:… reason:…', oninput: () => apply(), spellcheck: 'false'});
    const info = h('p', {class: 'dim', 'aria-live': 'polite'});
    let by = query.get('by') || 'none';
    function apply() {
        query_set({q: input.value, by: by === 'none' ? '' : by});
        const f = filter_parse(input.value), cols = new Set(filter_backends(f));
        const cells = M.bad.filter((i) => cols.has(i % M.nb) && filter_case(f, Math.floor(i / M.nb), [i % M.nb]).length);
        info.textContent = plural(cells.length, 'failure') + ' of ' + number(M.bad.length);
        if (by === 'none') {
            holder.replaceChildren(table(['scenario', 'suite', 'guest', 'backend', 'status', 'why'], failure_rows(cells), {caption: 'failures', none: M.bad.length ? 'No failure fits this filter.' : 'No failures. Good morning.'}));
            return;
        }
        const groups = new Map();
        for (const i of cells) {
            const c = Math.floor(i / M.nb), b = i % M.nb;
            const key = by === 'reason' ? M.why(c, b).replace(/0x[0-9a-f]+|[0-9]+/g, 'N') : by === 'backend' ? M.d.backends[b] : M.suite(c);
            if (!groups.has(key)) groups.set(key, []);
            groups.get(key).push(i);
        }
        holder.replaceChildren(...[...groups].sort((a, b) => b[1].length - a[1].length).map(([key, list]) =>
            card(key + ' (' + number(list.length) + ')', table(['scenario', 'suite', 'guest', 'backend', 'status', 'why'], failure_rows(list), {first: 10, caption: key}))));
    }
    apply();
    return [h('div', {class: 'tools'}, h('label', {class: 'field grow'}, h('span', {}, 'Filter'), input),
        select('group by', [['none', 'nothing'], ['reason', 'reason'], ['suite', 'suite'], ['backend', 'backend']], by, (v) => { by = v; apply(); })), info, holder];
}});

/* ---- one case ---- */
function failure_text(text) {
    const out = [];
    for (const line of text.replace(/\n$/, '').split('\n')) {
        const cls = /^\s*\|\s*expected/.test(line) ? 'l-want' : /^\s*\|\s*got/.test(line) ? 'l-got' : /^\s*\|\s*why/.test(line) ? 'l-why' : /^\s*\|/.test(line) ? 'l-note'
            : /^\s*->/.test(line) ? 'l-here' : /^\s*[0-9]+ !/.test(line) ? 'l-bad' : '';
        out.push(h('span', {class: 'line ' + cls}, line), '\n');
    }
    return h('pre', {class: 'failure', tabindex: 0, role: 'region', 'aria-label': 'what differs'}, out);
}
/* A colour of its own for each word, the same on every page. */
function hue(word) {
    let v = 7;
    for (let i = 0; i < word.length; i++) v = (v * 31 + word.charCodeAt(i)) % 360;
    return v;
}
const TRACE_KINDS = ['exit', 'op', 'step'];
function timeline(results) { // [[backend, trace]]
    const list = h('div');
    const vcpus = new Set();
    for (const [, trace] of results) for (const t of trace) vcpus.add(t[1]);
    let chosen = null;
    function show(b, trace, i) {
        if (chosen) chosen.removeAttribute('aria-current');
        const rows = trace.map((t, k) => () => h('tr', {id: 'trace' + k, class: k === i ? 'chosen' : ''}, h('td', {class: 'num'}, String(k + 1)), h('td', {}, TRACE_KINDS[t[0]]), h('td', {}, 'v' + t[1]), h('td', {class: 'mono'}, t[3]), h('td', {class: 'num'}, t[4] ? ':' + t[4] : '')));
        list.replaceChildren(h('h3', {}, 'Trace on ' + M.d.backends[b]), table(['#', 'kind', 'vcpu', 'what', 'line'], rows, {first: Math.max(60, i + 20), caption: 'trace on ' + M.d.backends[b]}));
        const e = document.getElementById('trace' + i);
        if (e && i) e.scrollIntoView({block: 'nearest'});
    }
    const lanes = results.map(([b, trace]) => h('div', {class: 'lane'}, h('div', {class: 'lane-name'}, M.d.backends[b], h('span', {class: 'dim small'}, ' ' + trace.length)),
        h('div', {class: 'lane-items', tabindex: 0, role: 'region', 'aria-label': 'exits on ' + M.d.backends[b] + ', in order'}, trace.slice(0, 600).map((t, i) => h('button', {type: 'button', class: 'event e-' + TRACE_KINDS[t[0]], title: t[3], 'aria-label': t[2] + ', ' + (i + 1) + ' of vcpu ' + t[1] + ': ' + t[3],
            style: {'--hue': String(hue(t[2])), 'margin-top': vcpus.size > 1 ? t[1] * 14 + 'px' : '0'},
            onclick: () => show(b, trace, i)}, h('span', {}, t[2]))))));
    if (results.length) show(results[0][0], results[0][1], 0);
    return [h('p', {class: 'dim small'}, 'Exits, operations and steps in order, a lane for each backend' + (vcpus.size > 1 ? '; lower is a higher vcpu' : '') + '. Choose one to see it in the trace.'), h('div', {class: 'lanes'}, lanes), list];
}
function strip(backend, statuses) {
    const canvas = h('canvas', {role: 'img', 'aria-label': 'History on ' + M.d.backends[backend]});
    const n = statuses.length;
    requestAnimationFrame(() => {
        const ratio = window.devicePixelRatio || 1, width = canvas.clientWidth || 300, g = canvas.getContext('2d');
        canvas.width = width * ratio;
        canvas.height = 18 * ratio;
        g.scale(ratio, ratio);
        const shown = Math.min(n, Math.max(30, Math.floor(width / 3))), w = Math.min(12, width / shown);
        for (let i = 0; i < shown; i++) {
            const st = statuses[n - shown + i];
            if (st === '.') continue;
            g.fillStyle = css('--' + STATUS[st].name);
            g.fillRect(width - (shown - i) * w, isBad(st) ? 0 : 3, Math.max(1, w - 0.6), isBad(st) ? 18 : 12);
        }
    });
    return canvas;
}
function median(list) {
    const x = [...list].sort((a, b) => a - b);
    return x.length ? x[Math.floor(x.length / 2)] : 0;
}
page({path: 'case', of: 'map', title: 'Scenario', render: (args, query, head) => {
    const [id, guest, backend] = args;
    const c = case_find(id || '', guest || '');
    if (c < 0) return empty('No scenario ' + (id || '') + ' for ' + (guest || 'no guest') + ' is in this run.', 'It may have been renamed or removed.');
    const want = backend === undefined ? -1 : M.d.backends.indexOf(backend);
    head.textContent = M.name(c);
    const others = M.d.guests.map((g) => case_find(id, g)).filter((x) => x >= 0);
    const facts = h('p', {class: 'facts'}, h('span', {}, code(M.suite(c) + (M.d.cases.line[c] ? ':' + M.d.cases.line[c] : ''))),
        others.length > 1 ? h('span', {}, 'guest ', others.map((x) => [h('a', {href: case_path(x), 'aria-current': x === c ? 'true' : null}, M.guest(x)), ' '])) : h('span', {}, 'guest ' + M.guest(c)));
    const holder = h('div', {}, h('p', {class: 'dim'}, 'Loading…'));
    load('d/' + c + '.js').then(() => {
        if (holder.isConnected) holder.replaceChildren(...case_body(c, want).flat(9).filter(Boolean));
        document.documentElement.dataset.ready = Number(document.documentElement.dataset.ready) + 1;
    }, (e) => holder.replaceChildren(empty(e.message)));
    return [facts, holder];
}});
function case_body(c, want) {
    const d = DATA.detail.get(c), out = [];
    if (d.scenario !== M.name(c) || d.suite !== M.d.suites_full[M.d.cases.suite[c]]) return [empty('The pages were written anew.', 'Load this page again.')];
    const results = new Map(d.results.map((r) => [r[0], r]));
    const ran = M.d.backends.map((_, b) => b).filter((b) => M.cell(c, b) !== '.');
    const bad = ran.filter((b) => isBad(M.cell(c, b)));
    const first = want >= 0 ? [want] : bad;
    for (const b of first) {
        const r = results.get(b), st = M.cell(c, b);
        const body = [h('p', {}, pill(st), ' ', M.why(c, b) || (st === 'P' ? 'as expected' : ''), ' ', h('span', {class: 'dim'}, time_text(M.ns(c, b)), r ? ' · ' + plural(r[1], 'exit') : ''))];
        if (r && r[4]) body.push(failure_text(r[4]));
        if (r && r[5]) body.push(h('h3', {}, 'Reproduce'), command(r[5]));
        else if (st !== '.') body.push(h('h3', {}, 'Reproduce'), command("conf run '" + (M.d.suites_full[M.d.cases.suite[c]] + '::' + M.name(c)).replace(/'/g, "'\\''") + "' --backend " + M.d.backends[b].split('@')[0].split(' ')[0] + ' --guest ' + M.guest(c)));
        out.push(card(M.d.backends[b], body));
    }
    out.push(card('Backends', table(['backend', 'status', 'duration', 'exits', 'why'], ran.map((b) => [h('a', {href: case_path(c, b), 'aria-current': b === want ? 'true' : null}, M.d.backends[b]), pill(M.cell(c, b)), h('span', {class: 'num'}, time_text(M.ns(c, b))), results.has(b) ? String(results.get(b)[1]) : '', h('span', {class: 'why'}, M.why(c, b))]), {caption: 'backends'})));
    const traced = ran.filter((b) => results.get(b) && results.get(b)[6].length).map((b) => [b, results.get(b)[6]]);
    if (want >= 0) traced.sort((x, y) => (y[0] === want) - (x[0] === want) || x[0] - y[0]);
    const dropped = d.results.filter((r) => r[7]).map((r) => plural(r[7], 'entry', 'entries') + ' on ' + M.d.backends[r[0]]);
    out.push(card('Timeline', traced.length ? [timeline(traced), dropped.length ? h('p', {class: 'warn small'}, 'The middle of long traces is left out: ' + dropped.join(', ') + '.') : null] : empty('No trace was recorded.', 'conf run --report trace=FILE keeps the trace of every scenario.')));
    if (M.nruns > 1 && d.history.length) {
        const shown = want >= 0 ? d.history.filter((x) => x[0] === want) : d.history;
        out.push(card('History', h('div', {class: 'strips'}, shown.map(([b, text]) => {
            const all = unrun(text);
            const n = [...all].filter((x) => x !== '.' && x !== 'S').length, good = [...all].filter((x) => x === 'P' || x === 'x').length;
            return h('div', {class: 'strip'}, h('span', {class: 'strip-name'}, M.d.backends[b]), strip(b, all), h('span', {class: 'num dim small'}, n ? percent(good, n) : '–'));
        })), h('p', {class: 'dim small'}, plural(M.nruns, 'run') + ', the newest on the right; a tall mark is a failure.')));
        const holder = chart_holder('Durations of ' + M.name(c) + ' over the runs', 'tall');
        const series = shown.map(([b, , times]) => ({b, values: Array.from({length: M.nruns}, (_, i) => duration_at(times, i) / 1e6 || null)})).filter((x) => x.values.some((v) => v));
        if (series.length) {
            out.push(card('Duration', holder, h('details', {}, h('summary', {}, 'As a table'), table(['backend', 'median', 'fastest', 'slowest', 'now'], series.map((x) => {
                const v = x.values.filter((y) => y);
                return [M.d.backends[x.b], time_text(median(v) * 1e6), time_text(Math.min(...v) * 1e6), time_text(Math.max(...v) * 1e6), time_text(M.ns(c, x.b))];
            }), {caption: 'durations'}))));
            requestAnimationFrame(() => chart(holder, {type: 'line', data: {labels: run_labels(), datasets: series.map((x) => ({label: M.d.backends[x.b], data: x.values, spanGaps: true, borderColor: series_colour(x.b), backgroundColor: series_colour(x.b)}))},
                options: {scales: {x: {}, y: {type: 'logarithmic', title: {display: true, text: 'ms'}, ticks: {maxTicksLimit: 6}}}}}));
        }
    }
    return out;
}
function series_colour(i) {
    const dark = theme_is_dark();
    return 'hsl(' + (210 + i * 137.5) % 360 + ' 65% ' + (dark ? 66 : 42) + '%)';
}

/* ---- runs ---- */
function run_row(r) {
    const d = M.d.runs;
    return [run_link(r), h('span', {class: 'nowrap'}, date_text(d.time[r])), code(short_commit(d.commit[r])), d.branch[r], d.host[r],
        String(d.n.P[r]), h('span', {class: d.n.F[r] + d.n.E[r] + d.n.X[r] ? 'bad' : 'dim'}, String(d.n.F[r] + d.n.E[r] + d.n.X[r])), String(d.n.S[r]), time_text(d.ns[r])];
}
page({path: 'runs', key: 'r', title: 'Runs', nav: 'Runs', render: (args, query) => {
    const holder = h('div');
    const branches = [...new Set(M.d.runs.branch)].sort();
    let branch = query.get('branch') || '';
    const input = h('input', {type: 'search', value: query.get('q') || '', 'aria-label': 'filter', placeholder: 'number, commit, branch, host', oninput: () => apply(), spellcheck: 'false'});
    function apply() {
        query_set({q: input.value, branch});
        const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
        const rows = [];
        for (let r = M.nruns - 1; r >= 0; r--) {
            const text = (run_name(r) + ' ' + M.d.runs.commit[r] + ' ' + M.d.runs.branch[r] + ' ' + M.d.runs.host[r]).toLowerCase();
            if ((!branch || M.d.runs.branch[r] === branch) && words.every((w) => text.includes(w))) rows.push(() => run_row(r));
        }
        holder.replaceChildren(table(['run', 'time', 'commit', 'branch', 'host', 'passed', 'bad', 'skipped', 'duration'], rows, {caption: 'runs', none: 'No run fits this filter.'}));
    }
    apply();
    return [h('div', {class: 'tools'}, h('label', {class: 'field grow'}, h('span', {}, 'Filter'), input),
        branches.length > 1 && select('branch', [['', 'all'], ...branches.map((b) => [b, b || '(none)'])], branch, (v) => { branch = v; apply(); })), holder];
}});
page({path: 'run', of: 'runs', title: 'Run', render: (args, query, head) => {
    const r = M.d.runs.id.findIndex((x) => String(x) === args[0]);
    if (r < 0) return empty('Run ' + (args[0] || '') + ' is not among those shown here.');
    head.textContent = 'Run ' + run_name(r);
    const d = M.d;
    const changes = d.changes.filter((x) => x[0] === r);
    const covers = d.kinds.filter((k) => k.over && k.over[r] !== null)
        .map((k) => [h('a', {href: kind_href(k.name)}, k.title), number(k.over[r]) + ' / ' + number(k.of[r]), percent(k.over[r], k.of[r])]);
    const covered = d.cover_changes.filter((x) => x[0] === r), measured = d.bench.filter((b) => b.values[r] !== null);
    const slow = d.trends.filter((t) => t[2] === r);
    return [run_facts(r), h('p', {class: 'facts'}, [...ORDER].filter((st) => d.runs.n[st][r]).map((st) => h('span', {}, pill(st), ' ', number(d.runs.n[st][r])))),
        card('Changed for good here', table(['scenario', 'suite', 'guest', 'backend', 'status', 'before'], changes.map((x) => () => [h('a', {href: case_path(x[3], x[2])}, M.name(x[3])), M.suite(x[3]), M.guest(x[3]), d.backends[x[2]],
            h('span', {class: 'nowrap'}, pill(x[4]), ' → ', pill(x[5])), run_link(x[1])]), {caption: 'changes', none: 'No result changed for good between good and bad in this run.'})),
        slow.length ? card('Slower or faster since here', table(['what', 'suite', 'backend', 'change', 'median', 'since'], slow.map((t) => trend_rows()[d.trends.indexOf(t)]), {caption: 'durations'})) : null,
        covers.length ? card('Coverage', table(['kind', 'covered', 'share'], covers, {caption: 'coverage'}), h('h3', {}, 'Came and went here'), cover_change_table(covered, 'No covered item came or went in this run.')) : null,
        measured.length ? card('Measured', table(['benchmark', 'value', 'step here'], measured.map((b) => () => [h('a', {href: '#/trends?bench=' + encodeURIComponent(bench_name(b))}, bench_name(b)), bench_value(b, b.values[r]), b.steps.filter((x) => x[0] === r).map((x) => step_text(b, x))]), {caption: 'measurements'})) : null,
        h('p', {class: 'facts'}, r > 0 && h('a', {href: '#/run/' + d.runs.id[r - 1], rel: 'prev'}, '← ' + run_name(r - 1)), r + 1 < M.nruns && h('a', {href: '#/run/' + d.runs.id[r + 1], rel: 'next'}, run_name(r + 1) + ' →'))];
}});

/* ---- coverage and measurements over the runs ---- */
function cover_change_table(list, none) {
    const names = (n, some) => n ? some.join(', ') + (n > some.length ? ' and ' + number(n - some.length) + ' more' : '') : '';
    const title = (name) => (M.d.kinds.find((k) => k.name === name) || {title: name}).title;
    return table(['run', 'kind', 'backend', 'was', 'is', 'lost', 'gained'], list.map((x) => () => [run_link(x[0]), h('a', {href: kind_href(x[2])}, title(x[2])), x[3] || 'all together', number(x[4]) + ' / ' + number(x[6]), number(x[5]) + ' / ' + number(x[7]),
        h('span', {class: x[8] ? 'bad' : ''}, names(x[8], x[9])), h('span', {class: x[10] ? 'good' : ''}, names(x[10], x[11]))]), {first: 20, caption: 'coverage that came and went', none: none || 'No covered item came or went.'});
}
function bench_name(b) {
    const others = M.d.bench.filter((x) => x.name === b.name);
    return others.length < 2 ? b.name : b.name + ' (' + [b.host, b.branch].filter(Boolean).join(', ') + ')';
}
function bench_value(b, v) {
    return h('span', {class: 'num nowrap'}, Number(v.toPrecision(4)) + ' ' + b.unit);
}
function step_text(b, x) {
    const better = x[2] > x[1] === b.more;
    return h('span', {class: better ? 'good' : 'bad'}, (x[2] > x[1] ? '+' : '−') + Math.abs(100 * (x[2] / x[1] - 1)).toFixed(1) + ' %, ' + (better ? 'better' : 'worse'));
}

/* ---- trends ---- */
page({path: 'trends', key: 't', title: 'Trends', nav: 'Trends', render: (args, query) => {
    if (M.nruns < 2) return empty('Trends need at least two runs.', 'Add runs to a history with conf run --history, then conf dashboard --history.');
    const out = [];
    let last = Number(query.get('last')) || 0;
    const d = M.d, holder = h('div');
    function draw() {
        query_set({last: last || ''});
        charts.forEach((x) => x.destroy());
        charts = [];
        const from = last ? Math.max(0, M.nruns - last) : 0;
        const results = chart_holder('Results of each run'), durations = chart_holder('Duration of each run'), cover = chart_holder('Covered share of each kind', 'tall');
        const kinds = d.kinds.filter((k) => k.over && k.of.some((x) => x));
        holder.replaceChildren(h('div', {class: 'columns'}, card('Results', results), card('Duration of a run', durations)),
            kinds.length ? card('Coverage', cover) : '');
        stacked_runs(results, from);
        chart(durations, {type: 'line', data: {labels: run_labels(from), datasets: [{label: 'duration of the run (s)', data: d.runs.ns.slice(from).map((x) => x / 1e9 || null), spanGaps: true, borderColor: css('--accent'), backgroundColor: css('--accent')}]}, options: {scales: {x: {}, y: {beginAtZero: true, ticks: {maxTicksLimit: 6}}}}});
        if (kinds.length) {
            chart(cover, {type: 'line', data: {labels: run_labels(from), datasets: kinds.map((k, i) => ({label: k.title, data: k.over.slice(from).map((x, r) => x === null || !k.of[from + r] ? null : 100 * x / k.of[from + r]), spanGaps: true, borderColor: series_colour(i), backgroundColor: series_colour(i)}))},
                options: {scales: {x: {}, y: {ticks: {maxTicksLimit: 6, callback: (v) => v + ' %'}}}}});
        }
    }
    out.push(h('div', {class: 'tools'}, select('runs', [['0', 'all ' + M.nruns], ['50', 'last 50'], ['200', 'last 200']].filter((x) => Number(x[0]) < M.nruns), String(last), (v) => { last = Number(v); draw(); })), holder);
    out.push(card('Slower and faster', h('p', {class: 'dim small'}, 'Steps in the durations that noise does not explain.'), table(['what', 'suite', 'backend', 'change', 'median', 'since'], trend_rows(), {first: 30, caption: 'durations', none: 'No duration changed beyond noise.'})));
    if (d.cover_changes.length) out.push(card('Coverage that came and went', cover_change_table(d.cover_changes)));
    if (d.bench.length) {
        const names = d.bench.map(bench_name);
        const rows = d.bench.map((b, i) => () => {
            const values = b.values.filter((x) => x !== null);
            return [h('button', {type: 'button', class: 'link', 'data-row': true, onclick: () => { at = i; field.querySelector('select').value = String(i); bench(); }}, names[i]),
                bench_value(b, values[values.length - 1]), bench_value(b, median(values)), number(values.length), b.steps.map((x) => h('div', {class: 'step'}, step_text(b, x), ' in ', run_link(x[0])))];
        });
        let at = Math.max(0, names.indexOf(query.get('bench')));
        const chart_of = chart_holder('Benchmark over the runs');
        const bench = () => { query_set({bench: names[at]}); chart(chart_of, {type: 'line', data: {labels: run_labels(), datasets: [{label: names[at] + ' (' + d.bench[at].unit + ')', data: d.bench[at].values, spanGaps: true, borderColor: css('--accent'), backgroundColor: css('--accent')}]}, options: {scales: {x: {}, y: {}}}}); };
        const field = select('benchmark', names.map((x, i) => [String(i), x]), String(at), (v) => { at = Number(v); bench(); });
        out.push(card('Benchmarks', field, chart_of, table(['benchmark', 'newest', 'median', 'runs', 'steps'], rows, {first: 30, caption: 'benchmarks'}),
            h('p', {class: 'dim small'}, 'Steps that noise does not explain, of each host and branch by itself.')));
        requestAnimationFrame(bench);
    }
    const slow = [];
    for (let c = 0; c < M.nc; c++) for (let b = 0; b < M.nb; b++) if (M.ns(c, b)) slow.push([M.ns(c, b), c, b]);
    slow.sort((x, y) => y[0] - x[0]);
    out.push(card('Slowest now', table(['scenario', 'suite', 'guest', 'backend', 'duration'], slow.slice(0, 200).map(([ns, c, b]) => () => [h('a', {href: case_path(c, b)}, M.name(c)), M.suite(c), M.guest(c), d.backends[b], time_text(ns)]), {first: 15, caption: 'slowest'})));
    requestAnimationFrame(draw);
    return out;
}});

/* ---- flaky ---- */
page({path: 'flaky', key: 'y', title: 'Flaky', nav: 'Flaky', render: () => [
    h('p', {class: 'dim'}, 'Bad and good on one commit, retried, or back and forth at least twice.'),
    table(['scenario', 'suite', 'guest', 'backend', {text: 'rate', title: 'share of runs in the smaller half'}, 'bad / runs', 'flickers', {text: 'same commit', title: 'commits with both'}, 'evidence'], flaky_rows(),
        {caption: 'flaky results', none: M.nruns < 2 ? 'Finding what is flaky needs a history of runs.' : 'Nothing is flaky.'})]});
