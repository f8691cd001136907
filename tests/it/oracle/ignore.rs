//! Ignore rules (git's topics t0008, t3001, t7061, t1600).

use super::Tree;

const FILES: &str = "
    for directory in . a a/b a/b/c build one/two docs 'with space'; do
        mkdir -p \"$directory\"
        for file in x.o x.c keep.o 'a b' '#hash' '!bang' '\\slash' 'trailing ' README.md .hidden A.O; do
            echo \"$directory/$file\" > \"$directory/$file\"
        done
    done";

/// Each is the whole of a `.gitignore` at the top.
const RULES: &[&str] = &[
    "*.o\n!keep.o\n",
    "*.o\r\n",
    "/x.o\na/b/\n",
    "a/*\n!a/b/\na/b/*\n!a/b/c/\n",
    "build\n!build/x.c\n",
    "build/*\n!build/x.c\n",
    "**/c\n/**/x.c\na/**/x.o\n",
    "**\n!*/\n!*.c\n",
    "\\#hash\n\\!bang\n#x.o\n",
    "trailing\\ \ntrailing \n",
    "a b\nwith space/\n",
    "[xk]*.o\n[!x]*.c\n[[:upper:]]*\n",
    "*.[oc]\n?.md\nREADME.??\n",
    "a/b\n!a/b/x.o\n/one\n",
    "docs/README.md\n*/keep.o\n",
    "/*\n!/a\n/a/*\n!/a/b\n",
    "\\\\slash\n.hid*\n",
    "one/**\n!one/two/x.c\n",
    "*\n!.gitignore\n",
    "a/**/c/\n**/b/**\n",
    "\u{feff}*.o\n",
    "*.o",
    "x.o/\nkeep.o/\n",
    "**x.o\nb**/x.c\n",
    "[a-\n[]x].o\n[\\]].o\n",
];

#[test]
fn untracked_files_are_those_that_no_rule_takes() {
    let tree = Tree::of("echo base > base");
    tree.quietly(FILES);
    for rules in RULES {
        std::fs::write(tree.place().tree("w").join(".gitignore"), rules).expect("rules");
        tree.step(&format!(": the rules are\n#{}", rules.escape_default()));
    }
}

#[test]
fn rules_of_the_base_count_as_those_of_now() {
    let tree = Tree::of("printf '*.log\\n/out/\\n' > .gitignore; mkdir sub; printf '!keep.log\\n' > sub/.gitignore");
    tree.run("mkdir -p out sub/out; touch a.log sub/a.log sub/keep.log out/x sub/out/x new");
    tree.step("printf '!a.log\\n' >> .gitignore").step("rm sub/.gitignore").step("git add -A; git commit -q -m x");
}

#[test]
fn a_deeper_file_of_rules_has_the_last_word() {
    let tree = Tree::of("mkdir -p a/b; printf '*.o\\n' > .gitignore; printf '!*.o\\n' > a/.gitignore; touch a/b/base");
    tree.run("touch x.o a/x.o a/b/x.o; printf '*.o\\n' > a/b/.gitignore")
        .step("rm a/b/.gitignore")
        .step("mv a/.gitignore a/b/")
        .step("printf '/b/*\\n!/b/x.o\\n' > a/.gitignore");
}

#[test]
fn what_is_tracked_is_seen_although_a_rule_takes_it() {
    let tree =
        Tree::of("mkdir build; echo 1 > build/kept; echo 1 > x.o; git add -f .; printf 'build/\\n*.o\\n' > .gitignore");
    tree.run("echo 2 > build/kept; echo 2 > x.o; touch build/new y.o")
        .step("rm build/kept")
        .step("rm -r build; echo file > build")
        .step("git rm -q --cached x.o");
}

#[test]
fn the_excludes_of_the_user_count() {
    let tree = Tree::of("echo base > base");
    let home = tree.place().home();
    std::fs::create_dir_all(home.join(".config/git")).expect("directory");
    std::fs::write(home.join(".config/git/ignore"), "*.swp\n.DS_Store\n").expect("rules");
    tree.run("mkdir a; touch x.swp a/.DS_Store a/.DS_Store2; printf '!x.swp\\n' > .gitignore");
    std::fs::write(home.join(".gitconfig"), "[core]\nexcludesFile = ~/mine\n").expect("configuration");
    std::fs::write(home.join("mine"), "*2\n").expect("rules");
    tree.step(": another file of excludes");
}

#[test]
fn a_directory_of_ignored_files_alone_is_no_change() {
    let tree = Tree::of("printf '*.tmp\\n' > .gitignore; mkdir kept; touch kept/file");
    tree.run("mkdir -p deep/er/est kept/more; touch deep/er/est/x.tmp kept/x.tmp kept/more/y.tmp")
        .step("touch deep/er/file")
        .step("rm -r kept");
}
