/* SPDX-License-Identifier: Apache-2.0
 * trend.c - steps in series of durations or measurements, and none where there is only noise.
 *
 * A series of n values is split at each place; if nothing changed there, the smaller part, of m values, is a sample of the ranks of all
 * n without replacement. With u the mean of its ranks, (rank - 1/2) / n, the chance of a mean that far out is at most
 *     exp(-z^2 / 2),                z = (u - 1/2) / sqrt((n - m) / (12 m (n - 1)))   (a bounded sum is sub-Gaussian), and
 *     exp(-m (-1 - ln(1 - u)))      (Chernoff's bound of a sum of uniform values; for parts of few values)
 * on each side; the smaller of both is multiplied by 2, by the number of places and by the number of series. It is a bound whatever the
 * distribution of the noise is, as long as its order in time is by chance: that is what taking out the common factor of a run is for.
 * Equal values share their rank, which only makes the sum tamer. The best place is moved to where the deviations from both medians add
 * up to the least, and both parts are looked at again. */
#include "coverage/history/history_int.h"
#include "coverage/history/series.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_DEPTH = 12, REFINE = 12, MIN_CASES_FOR_FACTOR = 20, KEYS = 65536, SAMPLE_RUNS = 100, SAMPLE_CASES = 500 };

StepRule step_rule(const HistoryStepOptions *o)
{
    static const HistoryStepOptions NONE = {0};
    o = o ? o : &NONE;
    return (StepRule){.alpha = o->alpha > 0 ? o->alpha : 0.001,
                      .min_change = o->min_change > 0 ? o->min_change : 0.05,
                      .min_segment = o->min_segment > 1 ? o->min_segment : 5,
                      .nseries = o->nseries ? o->nseries : 1};
}

/* By key, stable: two passes over its bytes. The key is in the upper half. */
static void sort_keyed(uint32_t *a, uint32_t *other, size_t n)
{
    for (unsigned shift = 16; shift < 32; shift += 8) {
        uint32_t at[257] = {0};
        for (size_t i = 0; i < n; i++) {
            at[(a[i] >> shift & 255) + 1]++;
        }
        for (size_t i = 0; i < 256; i++) {
            at[i + 1] += at[i];
        }
        for (size_t i = 0; i < n; i++) {
            other[at[a[i] >> shift & 255]++] = a[i];
        }
        uint32_t *swap = a;
        a = other;
        other = swap;
    } /* twice: back in a */
}

static int compare_keys(const void *a, const void *b)
{
    return (int)*(const uint16_t *)a - (int)*(const uint16_t *)b;
}

uint16_t key_median(uint16_t *keys, size_t n)
{
    if (!n) {
        return 0;
    }
    if (n > 64) { /* quick selection, by thirds of the range as the keys are spread evenly enough */
        size_t low = 0, high = n - 1, want = n / 2;
        while (low < high) {
            uint16_t pivot = keys[low + (high - low) / 2];
            size_t i = low, j = high;
            while (i <= j) {
                while (keys[i] < pivot) {
                    i++;
                }
                while (keys[j] > pivot) {
                    j--;
                }
                if (i <= j) {
                    uint16_t swap = keys[i];
                    keys[i++] = keys[j];
                    keys[j] = swap;
                    if (!j) {
                        break;
                    }
                    j--;
                }
            }
            if (want <= j) {
                high = j;
            } else if (want >= i) {
                low = i;
            } else {
                break;
            }
        }
        return keys[want];
    }
    qsort(keys, n, sizeof *keys, compare_keys);
    return keys[n / 2];
}

/* ---- one series ---- */

typedef struct {
    const uint16_t *keys;
    const StepRule *rule;
    double log_tries; /* ln of 2 x places x series */
    uint32_t *sorted, *other;
    uint32_t *rank2; /* twice the mean rank, from 1 */
    uint16_t *scratch;
    KeySteps *out;
} Search;

/* Ranks of keys[from, from + n); equal keys share the mean of theirs. */
static void rank(Search *s, size_t from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        s->sorted[i] = (uint32_t)s->keys[from + i] << 16 | (uint32_t)i;
    }
    sort_keyed(s->sorted, s->other, n);
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && s->sorted[end] >> 16 == s->sorted[i] >> 16) {
            end++;
        }
        for (size_t k = i; k < end; k++) {
            s->rank2[s->sorted[k] & 0xffff] = (uint32_t)(i + end + 1);
        }
        i = end;
    }
}

/* -ln of the bound for a part of m of n ranks whose mean, from 0 to 1, is u. */
static double exponent(double u, size_t m, size_t n)
{
    double far = fabs(u - 0.5);
    double z2 = far * far * 12.0 * (double)m * (double)(n - 1) / (double)(n - m);
    double best = z2 / 2;
    if (far > 0.3) {
        double chernoff = (double)m * (-1.0 - log(0.5 - far));
        best = chernoff > best ? chernoff : best;
    }
    return best;
}

static double best_place(const Search *s, size_t n, size_t *at)
{
    uint64_t sum2 = 0, all2 = (uint64_t)n * (n + 1);
    double best = 0;
    for (size_t t = 1; t + s->rule->min_segment <= n; t++) {
        sum2 += s->rank2[t - 1];
        if (t < s->rule->min_segment) {
            continue;
        }
        bool is_left = t <= n / 2;
        size_t m = is_left ? t : n - t;
        double mean = (double)(is_left ? sum2 : all2 - sum2) / 2 / (double)m;
        double e = exponent((mean - 0.5) / (double)n, m, n);
        if (e > best) {
            best = e;
            *at = t;
        }
    }
    return best;
}

static uint16_t median_of(Search *s, size_t from, size_t n)
{
    memcpy(s->scratch, s->keys + from, n * sizeof *s->scratch);
    return key_median(s->scratch, n);
}

/* The place near `at` from which on the values belong to the other median. */
static size_t refine(Search *s, size_t from, size_t n, size_t at)
{
    size_t low = at > REFINE + s->rule->min_segment ? at - REFINE : s->rule->min_segment;
    size_t high = at + REFINE + s->rule->min_segment < n ? at + REFINE : n - s->rule->min_segment;
    int left = median_of(s, from, at), right = median_of(s, from + at, n - at);
    long cost = 0, best = 0;
    size_t place = low;
    for (size_t t = low; t < high; t++) { /* moving keys[t] to the left part */
        int key = s->keys[from + t];
        cost += abs(key - left) - abs(key - right);
        if (cost < best) {
            best = cost;
            place = t + 1;
        }
    }
    return place;
}

static void search(Search *s, size_t from, size_t n, int depth)
{
    size_t at = 0;
    if (n < 2 * s->rule->min_segment || depth > MAX_DEPTH) {
        return;
    }
    rank(s, from, n);
    double e = best_place(s, n, &at);
    double p = exp(s->log_tries - e);
    if (p >= s->rule->alpha) {
        return;
    }
    at = refine(s, from, n, at);
    search(s, from, at, depth + 1);
    VEC_PUSH(s->out, (KeyStep){.at = from + at, .p = p});
    search(s, from + at, n - at, depth + 1);
}

/* Steps that are too small to matter join their stretches. */
static void drop_small(Search *s, size_t n)
{
    double smallest = log2(1 + s->rule->min_change) * KEY_OCTAVE;
    for (size_t i = 0; i < s->out->n;) {
        size_t from = i ? s->out->items[i - 1].at : 0, at = s->out->items[i].at;
        size_t end = i + 1 < s->out->n ? s->out->items[i + 1].at : n;
        if (abs((int)median_of(s, from, at - from) - (int)median_of(s, at, end - at)) < smallest) {
            memmove(s->out->items + i, s->out->items + i + 1, (s->out->n - i - 1) * sizeof *s->out->items);
            s->out->n--;
            i = i ? i - 1 : 0; /* its neighbour's stretch has grown */
        } else {
            i++;
        }
    }
}

static Search search_new(size_t max, const StepRule *rule)
{
    return (Search){.rule = rule,
                    .sorted = x_calloc(max + 1, sizeof(uint32_t)),
                    .other = x_calloc(max + 1, sizeof(uint32_t)),
                    .rank2 = x_calloc(max + 1, sizeof(uint32_t)),
                    .scratch = x_calloc(max + 1, sizeof(uint16_t))};
}

static void search_free(Search *s)
{
    mem_free(s->sorted);
    mem_free(s->other);
    mem_free(s->rank2);
    mem_free(s->scratch);
}

/* Longer series are looked at from their newest values on: a rank has 16 bits. */
static void search_all(Search *s, const uint16_t *keys, size_t n, KeySteps *out)
{
    s->keys = keys;
    s->out = out;
    s->log_tries = log(2.0 * (double)n * (double)s->rule->nseries);
    out->n = 0;
    search(s, 0, n, 0);
    drop_small(s, n);
}

void key_steps(const uint16_t *keys, size_t n, const StepRule *rule, KeySteps *out)
{
    Search s = search_new(n, rule);
    search_all(&s, keys, n, out);
    search_free(&s);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_double(const double *values, size_t n)
{
    if (!n) {
        return 0;
    }
    double *copy = x_calloc(n, sizeof *copy);
    memcpy(copy, values, n * sizeof *copy);
    qsort(copy, n, sizeof *copy, compare_doubles);
    double m = n % 2 ? copy[n / 2] : (copy[n / 2 - 1] + copy[n / 2]) / 2;
    mem_free(copy);
    return m;
}

static uint16_t key_of(double log2_of_ratio)
{
    double key = KEY_MIDDLE + log2_of_ratio * KEY_OCTAVE;
    return (uint16_t)(key < 0 ? 0 : key > KEYS - 1 ? KEYS - 1 : key + 0.5);
}

size_t history_steps(const double *values, size_t n, const HistoryStepOptions *o, HistoryStep *out, size_t max)
{
    StepRule rule = step_rule(o);
    KeySteps steps = {0};
    size_t skip = n > KEYS - 1 ? n - (KEYS - 1) : 0; /* a place has 16 bits: the newest values */
    values += skip;
    n -= skip;
    uint16_t *keys = x_calloc(n + 1, sizeof *keys);
    double middle = n ? median_double(values, n) : 1;
    for (size_t i = 0; i < n; i++) {
        double ratio = middle > 0 ? values[i] / middle : 0;
        keys[i] = ratio > 0 && isfinite(ratio) ? key_of(log2(ratio)) : 0;
    }
    key_steps(keys, n, &rule, &steps);
    for (size_t i = 0; i < steps.n && i < max; i++) {
        size_t from = i ? steps.items[i - 1].at : 0, at = steps.items[i].at,
               end = i + 1 < steps.n ? steps.items[i + 1].at : n;
        out[i] = (HistoryStep){.at = skip + at,
                               .before = median_double(values + from, at - from),
                               .after = median_double(values + at, end - at),
                               .p = steps.items[i].p};
    }
    size_t found = steps.n;
    VEC_FREE(&steps);
    mem_free(keys);
    return found;
}

double history_differ(const double *a, size_t na, const double *b, size_t nb)
{
    size_t n = na + nb;
    double *all = x_calloc(n + 1, sizeof *all);
    double sum = 0;
    memcpy(all, a, na * sizeof *a);
    memcpy(all + na, b, nb * sizeof *b);
    qsort(all, n, sizeof *all, compare_doubles);
    bool is_left = na <= nb;
    for (size_t i = 0; i < n;) { /* all[i, end) are equal and share their rank */
        size_t end = i + 1, here = 0;
        while (end < n && all[end] == all[i]) {
            end++;
        }
        for (size_t k = 0; k < (is_left ? na : nb); k++) {
            here += (is_left ? a : b)[k] == all[i];
        }
        sum += (double)here * ((double)(i + end) / 2); /* of i + 1/2 ... end - 1/2 */
        i = end;
    }
    mem_free(all);
    size_t m = is_left ? na : nb;
    double p = !m || m == n ? 1 : 2 * exp(-exponent(sum / (double)m / (double)n, m, n));
    return p < 1 ? p : 1;
}

/* ---- all series of a view ---- */

typedef VEC(HistoryTrend) TrendList;
typedef struct {
    const HistoryView *v;
    StepRule rule;
    const uint16_t *key_of_ns; /* by packed duration */
    Search search;
    const Series *series;
    size_t backend;
    const uint8_t **statuses; /* of the backend, by place in the series, then by case */
    const uint16_t **durations;
    uint16_t *keys, *scratch; /* of one case: by place; of one run: by case */
    size_t *places;           /* of the keys: index into the series */
    int *factor;              /* by place in the series: what the run does to all cases, in keys */
    uint16_t *middle;         /* by case */
    KeySteps steps;
    TrendList *out;
} Trends;

/* The keys of one case in the series, where it passed; every step-th of them. */
static size_t keys_of(Trends *t, size_t c, size_t step)
{
    size_t n = 0;
    for (size_t i = 0; i < t->series->n && n < KEYS - 1; i += step) {
        if (t->statuses[i][c] == HISTORY_passed) {
            t->places[n] = i;
            t->keys[n++] = t->key_of_ns[t->durations[i][c]];
        }
    }
    return n;
}

/* Medians of a sample: what is left of their error is noise like any other. */
static void find_factors(Trends *t)
{
    size_t ncases = history_ncases(t->v);
    memset(t->factor, 0, (t->series->n + 1) * sizeof *t->factor);
    for (size_t c = 0; c < ncases; c++) {
        size_t n = keys_of(t, c, 1 + t->series->n / SAMPLE_RUNS);
        t->middle[c] = key_median(t->keys, n);
    }
    for (size_t i = 0; i < t->series->n; i++) {
        size_t n = 0;
        for (size_t c = 0; c < ncases; c += 1 + ncases / SAMPLE_CASES) {
            if (t->statuses[i][c] == HISTORY_passed && t->middle[c]) {
                int key = t->key_of_ns[t->durations[i][c]];
                t->scratch[n++] = (uint16_t)(KEY_MIDDLE + (key - t->middle[c]) / 2); /* halved: it fits */
            }
        }
        t->factor[i] = n >= MIN_CASES_FOR_FACTOR ? ((int)key_median(t->scratch, n) - KEY_MIDDLE) * 2 : 0;
    }
}

static double median_ns(Trends *t, size_t c, size_t from, size_t end)
{
    size_t n = end - from;
    double *values = x_calloc(n + 1, sizeof *values);
    for (size_t i = 0; i < n; i++) {
        size_t run = t->series->runs[t->places[from + i]];
        values[i] = c == HISTORY_ALL_CASES ? 1000.0 * exp2((double)t->factor[t->places[from + i]] / KEY_OCTAVE)
                                           : (double)history_duration_ns(t->v, run, t->backend, c);
    }
    double m = median_double(values, n);
    mem_free(values);
    return m;
}

static void note_steps(Trends *t, size_t c, size_t n)
{
    for (size_t i = 0; i < t->steps.n; i++) {
        size_t from = i ? t->steps.items[i - 1].at : 0, at = t->steps.items[i].at;
        size_t end = i + 1 < t->steps.n ? t->steps.items[i + 1].at : n;
        VEC_PUSH(t->out, (HistoryTrend){.backend = t->backend,
                                        .c = c,
                                        .run = t->series->runs[t->places[at]],
                                        .before = t->series->runs[t->places[at - 1]],
                                        .before_ns = median_ns(t, c, from, at),
                                        .after_ns = median_ns(t, c, at, end),
                                        .p = t->steps.items[i].p});
    }
}

static void look_at_backend(Trends *t)
{
    for (size_t i = 0; i < t->series->n; i++) {
        t->statuses[i] = view_statuses(t->v, t->series->runs[i], t->backend);
        t->durations[i] = view_durations(t->v, t->series->runs[i], t->backend);
    }
    find_factors(t);
    for (size_t c = 0; c < history_ncases(t->v); c++) {
        size_t n = keys_of(t, c, 1);
        if (n < 2 * t->rule.min_segment) {
            continue;
        }
        for (size_t i = 0; i < n; i++) {
            int key = (int)t->keys[i] - t->factor[t->places[i]];
            t->keys[i] = (uint16_t)(key < 0 ? 0 : key > KEYS - 1 ? KEYS - 1 : key);
        }
        search_all(&t->search, t->keys, n, &t->steps);
        note_steps(t, c, n);
    }
    size_t n = 0;
    for (size_t i = 0; i < t->series->n && n < KEYS - 1; i++) {
        if (t->factor[i]) { /* 0: no results, or too few; a factor of exactly 1 is not missed */
            t->places[n] = i;
            t->keys[n++] = (uint16_t)(KEY_MIDDLE + t->factor[i] / 2);
        }
    }
    StepRule halved = t->rule; /* as the keys are */
    halved.min_change = sqrt(1 + t->rule.min_change) - 1;
    t->search.rule = &halved;
    search_all(&t->search, t->keys, n, &t->steps);
    note_steps(t, HISTORY_ALL_CASES, n);
    t->search.rule = &t->rule;
}

static double change_of(const HistoryTrend *t)
{
    return t->before_ns > 0 && t->after_ns > 0 ? log(t->after_ns / t->before_ns) : 0;
}

static int compare_trends(const void *a, const void *b)
{
    const HistoryTrend *s = a, *t = b;
    double x = change_of(s), y = change_of(t);
    if ((x > 0) != (y > 0)) {
        return x > 0 ? -1 : 1;
    }
    if (fabs(x) != fabs(y)) {
        return fabs(x) > fabs(y) ? -1 : 1;
    }
    return s->c != t->c ? (s->c < t->c ? -1 : 1) : s->backend < t->backend ? -1 : s->backend > t->backend;
}

void history_trends(const HistoryView *v, const HistoryStepOptions *o, HistoryTrends *out)
{
    TrendList list = {0};
    *out = (HistoryTrends){0};
    if (!view_durations(v, 0, 0)) {
        return;
    }
    AllSeries all = series_of(v);
    size_t nruns = history_nruns(v), ncases = history_ncases(v), most = nruns > ncases ? nruns : ncases;
    uint16_t *table = x_calloc(KEYS, sizeof *table);
    for (size_t i = 0; i < KEYS; i++) {
        double ns = (double)unpack_duration((uint16_t)i);
        table[i] = (uint16_t)(ns > 1 ? log2(ns) * KEY_OCTAVE : 0); /* 64 octaves at most */
    }
    Trends t = {.v = v, .rule = step_rule(o), .key_of_ns = table, .out = &list};
    t.rule.nseries = (ncases + 1) * history_nbackends(v) * (all.n ? all.n : 1);
    t.search = search_new(nruns, &t.rule);
    t.statuses = x_calloc(nruns + 1, sizeof *t.statuses);
    t.durations = x_calloc(nruns + 1, sizeof *t.durations);
    t.keys = x_calloc(nruns + 1, sizeof *t.keys);
    t.scratch = x_calloc(most + 1, sizeof *t.scratch);
    t.places = x_calloc(nruns + 1, sizeof *t.places);
    t.factor = x_calloc(nruns + 1, sizeof *t.factor);
    t.middle = x_calloc(ncases + 1, sizeof *t.middle);
    for (size_t s = 0; s < all.n; s++) {
        for (t.backend = 0; t.backend < history_nbackends(v); t.backend++) {
            t.series = &all.items[s];
            look_at_backend(&t);
        }
    }
    search_free(&t.search);
    mem_free(t.statuses);
    mem_free(t.durations);
    mem_free(t.keys);
    mem_free(t.scratch);
    mem_free(t.places);
    mem_free(t.factor);
    mem_free(t.middle);
    VEC_FREE(&t.steps);
    mem_free(table);
    series_free(&all);
    if (list.n) {
        qsort(list.items, list.n, sizeof *list.items, compare_trends);
    }
    *out = (HistoryTrends){.items = list.items, .n = list.n};
}

void history_trends_free(HistoryTrends *t)
{
    mem_free(t->items);
    *t = (HistoryTrends){0};
}
