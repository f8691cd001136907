use super::*;

struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir_all(dir.path().join("project/.git")).expect("directories");
        std::fs::create_dir_all(dir.path().join("project/src")).expect("directories");
        Self { dir }
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(path);
        std::fs::write(&path, text).expect("file");
        path
    }

    fn load(&self, variables: &[(&str, &str)], overrides: &Overrides) -> Result<Config> {
        let path = |name: &str| self.dir.path().join(name);
        let places = Places {
            system: path("system.toml"),
            user: Some(path("user.toml")),
            trust: Some(path("trust.toml")),
            data: Some(path("data")),
        };
        let dir = path("project/src");
        Config::resolve(Environment::of(variables, dir.to_str().expect("UTF-8")), overrides, places)
    }

    fn get(&self, variables: &[(&str, &str)]) -> Config {
        self.load(variables, &Overrides::default()).expect("valid")
    }

    fn fail(&self, variables: &[(&str, &str)]) -> String {
        let error = self.load(variables, &Overrides::default()).expect_err("must fail");
        format!("{:?} {error}", Kind::of(&error))
    }
}

#[test]
fn without_files_and_variables_there_are_defaults() {
    let home = Home::new();
    let config = home.get(&[]);
    assert_eq!(config.root, home.dir.path().join("data"));
    assert_eq!((config.user.as_str(), config.agent.as_str()), ("local", "claude"));
    assert_eq!(config.gc.max_age, Duration::from_hours(7 * 24));
    assert_eq!(config.capture.max_file, 100 << 20);
    assert_eq!(config.create.ports, (10000, 10100));
    assert_eq!(config.exec.timeout, None);
    assert!(config.settings.values().all(|setting| setting.origin == Origin::Default));
}

#[test]
fn each_layer_covers_the_one_below() {
    let home = Home::new();
    let system = home.write("system.toml", "agent = 's'\ngc.max_age = '1d'\ncreate.ttl = '1h'\nexec.timeout = 1");
    let user = home.write("user.toml", "agent = 'u'\ngc.max_age = '2d'\ncreate.ttl = '2h'");
    let project = home.write("project/.stead.toml", "agent = 'p'\ncreate.ttl = '3h'");
    let config = home.get(&[("STEAD_AGENT", "e"), ("CLAUDE_EXEC_TIMEOUT", "90")]);
    let origin = |key: &str| config.settings[key].origin.clone();
    assert_eq!(config.agent, "e");
    assert_eq!(origin("agent"), Origin::Environment("STEAD_AGENT".into()));
    assert_eq!(config.create.ttl, Some(Duration::from_hours(3)));
    assert_eq!(origin("create.ttl"), Origin::Project(project));
    assert_eq!(config.gc.max_age, Duration::from_hours(48));
    assert_eq!(origin("gc.max_age"), Origin::User(user));
    assert_eq!(config.exec.timeout, Some(Duration::from_secs(90)));
    let config = home.get(&[]);
    assert_eq!(config.settings["exec.timeout"].origin, Origin::System(system));
}

#[test]
fn a_project_sets_what_cannot_harm_and_the_rest_once_it_is_trusted() {
    let home = Home::new();
    home.write("user.toml", "[limits]\nmemory = '2G'\npids = 10");
    let text = "agent = 'p'\n[create]\nsetup = ['npm', 'ci']\n[limits]\nmemory = '1G'\npids = 20\ncpus = 2\n\
                [agents.p]\ncommand = ['sh']\n";
    let path = home.write("project/.stead.toml", text);
    let config = home.get(&[]);
    assert_eq!(config.agent, "p");
    assert!(config.create.setup.is_empty() && config.agents.is_empty());
    assert_eq!([&config.limits["memory"], &config.limits["pids"], &config.limits["cpus"]], ["1G", "10", "2"]);
    let project = config.project.expect("there is one");
    assert!(!project.trusted);
    assert_eq!(project.ignored, ["agents.p.command", "create.setup", "limits.pids"]);

    let mut trust = project::Trust::default();
    trust.add(&path, text).expect("UTF-8");
    home.write("trust.toml", &trust.to_toml());
    let config = home.get(&[]);
    assert_eq!(config.create.setup, ["npm", "ci"]);
    assert_eq!(config.limits["pids"], "20");
    assert!(config.agents["p"].contains_key("command"));

    home.write("project/.stead.toml", &format!("{text}# changed\n"));
    assert!(home.get(&[]).create.setup.is_empty(), "a changed file is asked for again");
}

#[test]
fn limits_of_the_user_cover_the_general_ones() {
    let home = Home::new();
    home.write("user.toml", "[limits]\npids = 10\ncpus = 1\n[users.\"a@b.c\".limits]\npids = 5");
    assert_eq!(home.get(&[]).limits["pids"], "10");
    let config = home.get(&[("STEAD_USER", "a@b.c")]);
    assert_eq!((config.limits["pids"].as_str(), config.limits["cpus"].as_str()), ("5", "1"));
}

#[test]
fn the_root_comes_from_the_flag_then_variables_then_the_file() {
    let home = Home::new();
    home.write("user.toml", "root = '~/r'");
    let variables = [("HOME", "/home/x"), ("STEAD_ROOT", "rel/./ä b"), ("WORKSPACE_DIR", "/w")];
    let flag = Overrides { root: Some("/flag".into()), user: None };
    assert_eq!(home.load(&variables, &flag).expect("valid").root, Path::new("/flag"));
    assert_eq!(home.get(&variables).root, home.dir.path().join("project/src/rel/ä b"));
    assert_eq!(home.get(&[variables[0]]).root, Path::new("/home/x/r"));
    let missing = home.dir.path().join("missing");
    let missing = missing.to_str().expect("UTF-8");
    assert_eq!(home.get(&[("WORKSPACE_DIR", missing), ("DATA_DIR", "/d")]).root, Path::new(missing));
}

#[test]
fn another_programs_directory_is_not_taken_as_a_root() {
    let home = Home::new();
    let project = home.dir.path().join("project");
    let text = project.to_str().expect("UTF-8");
    let message = home.fail(&[("DATA_DIR", text)]);
    assert!(message.starts_with("Refused `DATA_DIR` names"), "{message}");
    home.write("project/stead.toml", "format = 1\n");
    assert_eq!(home.get(&[("DATA_DIR", text)]).root, project);
}

#[test]
fn bad_variables_are_named() {
    let home = Home::new();
    for (variable, value) in [
        ("CLAUDE_EXEC_TIMEOUT", "soon"),
        ("CLAUDE_EXEC_TIMEOUT", "5m"),
        ("WORKSPACE_CLEANUP_AGE_DAYS", "-1"),
        ("WORKSPACE_PORT_RANGE_START", "0"),
        ("WORKSPACE_PORT_RANGE_END", "70000"),
        ("WORKSPACE_PORT_RANGE_START", "10101"),
    ] {
        let message = home.fail(&[(variable, value)]);
        assert!(message.starts_with("Usage ") && message.contains(variable) && message.contains(value), "{message}");
    }
}

#[test]
fn the_way_up_is_no_part_of_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(top.join("far/away")).unwrap();
    std::os::unix::fs::symlink("far/away", top.join("link")).unwrap();
    let root = |path: &str| {
        let environment = Environment::of(&[("HOME", "/nowhere"), ("STEAD_ROOT", path)], top.to_str().unwrap());
        Config::load(environment, &Overrides::default()).map(|config| config.root)
    };
    assert_eq!(root("./a/./b").unwrap(), top.join("a/b"));
    assert_eq!(root("link/../root").unwrap(), top.join("far/root"));
    assert!(root("missing/../root").is_err());
}
