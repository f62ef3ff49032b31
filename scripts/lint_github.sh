#!/bin/sh
# Checks .github, which runs only after a push: the schema of each file, and known mistakes of workflows.
# Needs check-jsonschema and zizmor on the path. Takes the folder to check; default: .github.
set -eu
folder=${1:-.github}

check() {
    schema=$1
    shift
    check-jsonschema --builtin-schema "$schema" "$@"
}

check vendor.github-workflows "$folder"/workflows/*.yml
check custom.github-workflows-require-timeout "$folder"/workflows/*.yml
check vendor.dependabot "$folder"/dependabot.yml
for form in "$folder"/ISSUE_TEMPLATE/*.yml; do
    case $form in
        */config.yml) check vendor.github-issue-config "$form" ;;
        *) check vendor.github-issue-forms "$form" ;;
    esac
done
zizmor --quiet --offline --no-progress "$folder"
