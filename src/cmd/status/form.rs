//! The forms of a status: a table, the facts of one workspace, totals, stable lines.

use std::borrow::Cow;
use std::fmt::Display;

use super::{Answer, Item, Summary};
use crate::error::{Exit, Kind};
use crate::ui::Report;
use crate::ui::text::{Page, age, bytes, quote, until};

impl Report for Answer {
    fn text(&self, page: &mut Page) {
        match &self.workspaces[..] {
            [] => {}
            [item] if self.named => facts(page, item, self),
            items => table(page, items, self),
        }
    }

    fn exit(&self) -> Exit {
        // Who asks for all wants to see a damaged one too; who names one wants it whole.
        let failed = self.workspaces.iter().any(|item| item.error.is_some() && (self.named || item.state != "damaged"));
        if failed { Kind::Failed.exit() } else { Exit::DONE }
    }
}

impl Report for Summary {
    fn text(&self, page: &mut Page) {
        let Self { total, active, inactive, damaged, running, .. } = self;
        page.line(format!(
            "{total} workspaces: {active} active, {inactive} inactive, {running} running, {damaged} damaged"
        ));
        page.line(format!("{} MB in all", self.total_size_mb));
        if let Some(oldest) = self.oldest_access {
            page.line(format!("longest unused since {oldest}"));
        }
    }
}

/// Returns one line for each workspace, fields separated by tabs.
pub(super) fn porcelain(items: &[Item], raw: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for item in items {
        let quoted = |text: &str| if raw { text.to_owned() } else { quote(text.as_bytes()).into_owned() };
        let fields = [
            item.name.clone(),
            item.state.to_owned(),
            or_dash(item.branch.as_deref().map(quoted)),
            or_dash(item.head.as_ref()),
            or_dash(item.dirty),
            or_dash(item.changes),
            or_dash(item.ahead),
            or_dash(item.behind),
            or_dash(item.delivered.map(yes)),
            or_dash(item.running.as_ref().map(|running| quoted(&running.command))),
            or_dash(item.last_used),
            or_dash(item.expires),
            or_dash(item.source.as_deref().map(quoted)),
        ];
        out.extend_from_slice(fields.join("\t").as_bytes());
        out.push(if raw { 0 } else { b'\n' });
    }
    out
}

fn table(page: &mut Page, items: &[Item], answer: &Answer) {
    let stats = items.iter().any(|item| item.stats.is_some());
    let mut heading = vec!["NAME", "STATE", "BRANCH", "DIRTY", "CHANGES", "AHEAD", "BEHIND", "DELIVERED", "LAST USED"];
    if stats {
        heading.extend(["SIZE", "SHARED", "FILES"]);
    }
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| {
            let mut row = vec![
                item.name.clone(),
                state(item).into_owned(),
                or_dash(item.branch.as_deref().map(|branch| quote(branch.as_bytes()).into_owned())),
                or_dash(item.dirty),
                or_dash(item.changes),
                or_dash(item.ahead),
                or_dash(item.behind),
                or_dash(item.delivered.map(yes)),
                or_dash(item.last_used.map(|time| age(time, answer.now))),
            ];
            if let Some(stats) = &item.stats {
                row.extend([bytes(stats.size_bytes), bytes(stats.shared_bytes), stats.file_count.to_string()]);
            }
            row
        })
        .collect();
    page.table(&heading, &rows);
    for item in items {
        if let Some(problem) = &item.error {
            page.line(format!("`{}`: {}", item.name, problem.message));
            if let Some(hint) = &problem.hint {
                page.hint(hint);
            }
        }
    }
}

fn facts(page: &mut Page, item: &Item, answer: &Answer) {
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            page.line(format!("{name:<10} {value}"));
        }
    };
    fact("name", Some(item.name.clone()));
    fact("state", Some(item.state.to_owned()));
    let running = item.running.as_ref().map(|running| {
        format!("`{}` (process {}), since {}", running.command, running.pid, age(running.since, answer.now))
    });
    fact("running", running);
    fact("path", Some(quote(item.path.path.as_bytes()).into_owned()));
    fact("source", item.source.as_deref().map(|source| quote(source.as_bytes()).into_owned()));
    fact("branch", item.branch.as_deref().map(|branch| quote(branch.as_bytes()).into_owned()));
    fact("head", item.head.clone());
    fact("base", item.base.clone());
    fact("operation", item.operation.clone());
    fact("dirty", item.dirty.map(paths));
    fact("changes", item.changes.map(paths));
    if let (Some(ahead), Some(behind), Some(upstream)) = (item.ahead, item.behind, &item.upstream) {
        let upstream = quote(upstream.as_bytes());
        fact("upstream", Some(format!("{ahead} ahead of and {behind} behind `{upstream}` as last fetched")));
    }
    fact(
        "delivered",
        item.delivered.map(|delivered| match item.unsaved.join(", ") {
            why if !delivered => format!("no: {why}"),
            _ => "yes".to_owned(),
        }),
    );
    fact("created", item.created.map(|time| age(time, answer.now)));
    fact("last used", item.last_used.map(|time| age(time, answer.now)));
    let expires = item.expires.map(|time| match until(time, answer.now) {
        now if now == "now" => "now: `stead gc` takes it unless it has unsaved work".to_owned(),
        later => later,
    });
    fact("expires", if item.pinned { Some("never: it is pinned".to_owned()) } else { expires });
    fact(
        "ports",
        (!item.ports.is_empty()).then(|| item.ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")),
    );
    if let Some(stats) = &item.stats {
        fact("size", Some(format!("{}, and {} of its pool", bytes(stats.size_bytes), bytes(stats.shared_bytes))));
        fact("files", Some(format!("{} in {} directories", stats.file_count, stats.subdirectories)));
        let live = stats.live.map(|live| {
            let (count, memory) = (live.processes, bytes(live.memory_bytes));
            format!("{count} processes, {:.1} s of CPU time, {memory} of memory", live.cpu_seconds)
        });
        fact("uses", live);
    }
    fact("error", item.error.as_ref().map(|problem| problem.message.clone()));
}

fn state(item: &Item) -> Cow<'static, str> {
    if item.running.is_some() { "running".into() } else { item.state.into() }
}

fn paths(count: usize) -> String {
    match count {
        0 => "nothing".to_owned(),
        1 => "1 path".to_owned(),
        _ => format!("{count} paths"),
    }
}

fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}
