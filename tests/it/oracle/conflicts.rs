//! Files where directories were, and the like (git's topics t6422, t2201, t1000, t3010, t7512).

use super::Tree;

const BASE: &str = "mkdir -p d/e; echo 1 > f; echo 2 > d/x; echo 3 > d/e/y; ln -s f link; echo run > run; chmod +x run";

#[test]
fn a_file_becomes_a_directory_and_back() {
    let tree = Tree::of(BASE);
    tree.run("rm f; mkdir f; echo 4 > f/x; rm -r d; echo d > d")
        .step("git add -A")
        .step("rm -r f d; mkdir d; echo 1 > f; echo 2 > d/x")
        .step("git reset -q --hard; rm -r d/e; echo e > d/e")
        .step("rm -r d; ln -s . d");
}

#[test]
fn a_link_becomes_a_file_or_a_directory_and_back() {
    let tree = Tree::of(BASE);
    tree.run("rm link; printf f > link; rm f; ln -s link f; rm d/x; ln -s e d/x")
        .step("git add -A; git commit -q -m x; rm link; mkdir link; touch link/x; rm f; ln -s elsewhere f")
        .step("rm -r link; ln -s d link; touch d/through; rm d/x; mkdir d/x; touch d/x/y");
}

#[test]
fn only_the_mode_that_git_has_is_a_change() {
    let tree = Tree::of(BASE);
    tree.run("chmod +x f; chmod -x run; chmod 755 d/e/y")
        .step("chmod 600 d/x")
        .step("chmod 644 f d/e/y; chmod 711 run")
        .step("chmod 010 f; chmod 444 d/x; chmod 100 run");
}

#[test]
fn a_merge_and_a_rebase_that_stop_are_seen_as_they_stand() {
    let tree = Tree::of(BASE);
    tree.quietly(
        "git checkout -q -b side; echo side > f; echo side > d/new; git rm -q d/x; rm -r d/e; echo file > d/e; git add -A
         git commit -q -m side; git checkout -q -; echo main > f; echo main > d/new; echo more >> d/x; git add -A; git commit -q -m main",
    );
    tree.step("git merge -q side >/dev/null || :")
        .step("git checkout -q --ours f; git add f; rm -f d/new~* ")
        .step("git merge --abort")
        .step("git rebase -q side >/dev/null 2>&1 || :")
        .step("git rebase --abort")
        .step("git cherry-pick side >/dev/null 2>&1 || :")
        .step("git reset -q --merge")
        .step("git revert --no-edit HEAD >/dev/null; git revert -n HEAD");
}

#[test]
fn a_directory_and_a_link_to_it_are_told_apart() {
    let tree = Tree::of("mkdir real; echo 1 > real/x; echo 1 > real/y; ln -s real alias");
    tree.run("rm alias; cp -r real alias; rm -r real; ln -s alias real").step("echo 2 > real/x");
}
