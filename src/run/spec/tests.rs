use super::*;
use crate::config::Overrides;

fn config(text: &str) -> Config {
    let environment = Environment::of(&[("HOME", "/nowhere"), ("PATH", "/bin")], "/");
    let mut config = Config::load(environment, &Overrides::default()).unwrap();
    config.agents = toml::from_str(text).unwrap();
    config
}

static NO_WALLS: Walls = Walls {
    namespaces: Some(String::new()),
    landlock: Some(String::new()),
    container: Some(String::new()),
    engine: None,
    probe: std::sync::Mutex::new(None),
};

fn around(terminals: Terminals) -> Around<'static> {
    Around {
        name: "x",
        record: None,
        tree: Path::new("/w"),
        homes: Path::new("/h"),
        pool: None,
        identity: None,
        terminals,
        walls: &NO_WALLS,
        tools: Box::leak(Box::default()),
    }
}

fn spec(ask: &Ask, terminals: Terminals) -> RunSpec {
    let id = RunId::parse("20260131-154500-0f3a").unwrap();
    RunSpec::new(id, ask, &config("[arg]\nprompt = 'argument'\nopen = []\n"), &around(terminals)).unwrap()
}

fn prompt(agent: &str) -> Ask {
    Ask { agent: Some(agent.into()), prompt: Some("do it".into()), ..Ask::default() }
}

fn command() -> Ask {
    Ask { command: vec!["make".into()], ..Ask::default() }
}

#[test]
fn each_agent_is_called_as_it_expects() {
    let calls = [
        ("claude", "claude -p --permission-mode acceptEdits"),
        ("codex", "codex exec --skip-git-repo-check --sandbox workspace-write -"),
        ("gemini", "gemini --skip-trust --approval-mode auto_edit"),
        (
            "aider",
            "aider --no-gitignore --no-check-update --no-show-release-notes --yes-always \
             --no-suggest-shell-commands --message-file PROMPT-FILE",
        ),
        ("arg", "arg PROMPT"),
    ];
    for (agent, call) in calls {
        assert_eq!(spec(&prompt(agent), Terminals::None).shown.join(" "), call);
    }
    assert_eq!(spec(&prompt("claude"), Terminals::None).stdin, Stdin::Text("do it".into()));
    let by_file = spec(&prompt("aider"), Terminals::None);
    assert_eq!(by_file.stdin, Stdin::Null);
    assert_eq!(by_file.argv.last().unwrap(), "/h/tmp/prompt-20260131-154500-0f3a");
    assert_eq!(spec(&prompt("arg"), Terminals::None).argv, ["arg", "do it"]);
}

#[test]
fn streams_follow_the_terminal() {
    let of = |ask: &Ask, terminals| {
        let spec = spec(ask, terminals);
        (spec.streams, spec.group, spec.stdin)
    };
    let agent = Ask { agent: Some("claude".into()), ..Ask::default() };
    assert_eq!(of(&command(), Terminals::Both), (Streams::Terminal, Group::Shared, Stdin::Inherit));
    assert_eq!(of(&command(), Terminals::Stdin), (Streams::Live, Group::Shared, Stdin::Inherit));
    assert_eq!(of(&command(), Terminals::None), (Streams::Live, Group::Own, Stdin::Inherit));
    let json = Terminals::Json { stdin: false };
    assert_eq!(of(&command(), json), (Streams::Captured, Group::Own, Stdin::Inherit));
    assert_eq!(of(&agent, Terminals::Both), (Streams::Terminal, Group::Shared, Stdin::Inherit));
    assert_eq!(of(&agent, Terminals::Stdin), (Streams::Live, Group::Shared, Stdin::Null));
    let text = Stdin::Text("do it".into());
    assert_eq!(of(&prompt("claude"), Terminals::Both), (Streams::Live, Group::Shared, text));
}

#[test]
fn only_a_prompt_has_a_time_limit_of_its_own() {
    assert_eq!(spec(&prompt("claude"), Terminals::None).timeout, Some(Duration::from_mins(5)));
    assert_eq!(spec(&command(), Terminals::None).timeout, None);
    let none = Ask { timeout: Some(Duration::ZERO), ..prompt("claude") };
    assert_eq!(spec(&none, Terminals::None).timeout, None);
}

#[test]
fn what_cannot_be_enforced_is_a_failure() {
    let kind = |ask: &Ask, terminals| {
        let id = RunId::parse("20260131-154500-0f3a").unwrap();
        Kind::of(&RunSpec::new(id, ask, &config(""), &around(terminals)).unwrap_err())
    };
    let walled = Ask { isolation: Some(Isolation::Namespaces), ..command() };
    assert_eq!(kind(&walled, Terminals::None), Kind::Unsupported);
    let offline = Ask { net: Some(NetAccess::Off), ..command() };
    assert_eq!(kind(&offline, Terminals::None), Kind::Unsupported);
    let idle = Ask { idle_timeout: Some(Duration::from_secs(1)), ..command() };
    assert_eq!(kind(&idle, Terminals::Both), Kind::Usage);
    assert_eq!(kind(&prompt("pi"), Terminals::None), Kind::Refused);
    assert_eq!(kind(&prompt("opencode"), Terminals::None), Kind::Refused);
}

#[test]
fn consent_to_no_wall_still_skips_no_questions() {
    let ask = Ask { isolation: Some(Isolation::None), ..prompt("opencode") };
    let consented = spec(&ask, Terminals::None);
    assert_eq!((consented.shown.join(" ").as_str(), consented.wall_is_news), ("opencode run", false));
}
