//! Names (git's topics t3902, t7450, t0050, t3000, t4016).

use super::Tree;

#[test]
fn names_that_must_be_quoted_are_told_as_they_are() {
    let tree = Tree::of("touch base");
    tree.run(
        "touch -- 'a b' ' lead' 'trail ' 'tab\there' 'quote\"d' 'back\\slash' 'new
line' \"$(printf 'esc\\033[31m')\" \"$(printf '\\377\\376')\" 'é' \"$(printf 'e\\314\\201')\" -dash -- --help '日本' \
         'a:b' '*' '?' '[x]' '~' '$HOME' '`x`' ';' '&' '|' '<' '>' '#' '!' '%' \"'\"",
    )
    .step("git add -A .; git commit -q -m names; for file in *; do echo x > \"./$file\"; done")
    .step("git commit -q -a -m changed; rm ./*");
}

#[test]
fn names_are_told_apart_by_case_and_form() {
    let tree = Tree::of("echo 1 > file; echo 2 > File; mkdir dir; echo 3 > dir/x");
    tree.run("echo 4 > FILE; mkdir Dir; echo 5 > Dir/x; rm file").step("mv Dir dir2; mv dir Dir");
}

#[test]
fn names_that_look_like_git_are_files() {
    let tree = Tree::of("touch base");
    tree.run("mkdir -p .github .gitlab a/.gitea; touch .gitattributes .gitmodules .gitkeep .git-x .git.x .gitx a/git HEAD config x.git")
        .step("mkdir objects refs hooks; touch objects/x refs/x hooks/pre-commit");
}

#[test]
fn names_in_the_order_of_trees_are_found() {
    // `a.x` and `a-x` sort on either side of the directory `a`.
    let tree = Tree::of("mkdir a; touch a/x a.x a-x a0 ab 'a b'");
    tree.run("rm -r a; touch a; rm a.x; mkdir a.x; touch a.x/y")
        .step("git add -A; git commit -q -m x; rm -r a a.x; mkdir a; touch a/x a.x a-y")
        .step("rm a-x a0; mkdir a0 a-x; touch a0/x a-x/x");
}

#[test]
fn long_and_deep_names_are_found() {
    let tree = Tree::of("touch base");
    tree.run("name=$(printf '%0255d' 0); touch $name; mkdir -p d/$name; touch d/$name/$name")
        .step("path=$(printf 'x/%.0s' $(seq 200)); mkdir -p $path; touch ${path}file");
}

#[test]
fn short_and_odd_names_are_found() {
    let tree = Tree::of("touch base");
    tree.run("mkdir -p ... ..x .x x. ' '; touch .../x ..x/x .x/x x./x ' / ' .a a. ...x ' .'");
}
