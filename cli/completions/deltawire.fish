# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_deltawire_global_optspecs
    string join \n events chunks report piece= pieces= last-event-id= salvage h/help V/version
end

function __fish_deltawire_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_deltawire_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_deltawire_using_subcommand
    set -l cmd (__fish_deltawire_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c deltawire -n "__fish_deltawire_needs_command" -l piece -d 'Feed pieces of N bytes' -r
complete -c deltawire -n "__fish_deltawire_needs_command" -l pieces -d 'Feed pieces of the lengths in this file, one a line' -r -F
complete -c deltawire -n "__fish_deltawire_needs_command" -l last-event-id -d 'The last event ID to begin with' -r
complete -c deltawire -n "__fish_deltawire_needs_command" -l events -d 'Print each Server-Sent Event, and a last line for the rest of the stream'
complete -c deltawire -n "__fish_deltawire_needs_command" -l chunks -d 'Print each payload: chunk, done, error, malformed, other, comment'
complete -c deltawire -n "__fish_deltawire_needs_command" -l report -d 'Print completion, outcome, whether it is whole and why not, error, tokens, counts'
complete -c deltawire -n "__fish_deltawire_needs_command" -l salvage -d 'Accept a last event that lacks its blank line'
complete -c deltawire -n "__fish_deltawire_needs_command" -s h -l help -d 'Print help'
complete -c deltawire -n "__fish_deltawire_needs_command" -s V -l version -d 'Print version'
complete -c deltawire -n "__fish_deltawire_needs_command" -a "view" -d 'Print the completion of a stream (default)'
complete -c deltawire -n "__fish_deltawire_needs_command" -a "replay" -d 'Write a completion as a stream'
complete -c deltawire -n "__fish_deltawire_needs_command" -a "serve" -d 'Serve recorded streams, and misbehave on demand (needs the feature serve)'
complete -c deltawire -n "__fish_deltawire_needs_command" -a "completions" -d 'Print the completions of a shell'
complete -c deltawire -n "__fish_deltawire_needs_command" -a "man" -d 'Print a man page: deltawire man | man -l -'
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -l piece -d 'Feed pieces of N bytes' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -l pieces -d 'Feed pieces of the lengths in this file, one a line' -r -F
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -l last-event-id -d 'The last event ID to begin with' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -l events -d 'Print each Server-Sent Event, and a last line for the rest of the stream'
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -l chunks -d 'Print each payload: chunk, done, error, malformed, other, comment'
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -l report -d 'Print completion, outcome, whether it is whole and why not, error, tokens, counts'
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -l salvage -d 'Accept a last event that lacks its blank line'
complete -c deltawire -n "__fish_deltawire_using_subcommand view" -s h -l help -d 'Print help'
complete -c deltawire -n "__fish_deltawire_using_subcommand replay" -l rate -d 'Tokens a second, each counted as 4 bytes of text' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand replay" -l delta -d 'Most bytes of text in an event' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand replay" -l no-pace -d 'Write all events at once'
complete -c deltawire -n "__fish_deltawire_using_subcommand replay" -s h -l help -d 'Print help'
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l listen -d 'With port 0 a free one, which is printed' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l piece -d 'Pieces of N bytes, or: event, whole, recorded, random [event]' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l seed -d 'Another random [1]' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l gap -d 'Milliseconds between pieces [0]' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l wait -d 'Milliseconds before the first piece [0]' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l cut -d 'Close the connection behind N bytes' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l stall -d 'Send nothing more behind N bytes' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l end -d 'End the body properly behind N bytes' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l error -d 'An error event in place of all events from byte N on' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l type -d 'Send this content type; none sends none' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l status -d 'Send this status, and an error in JSON' -r
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -l gzip -d 'Compress, for any request'
complete -c deltawire -n "__fish_deltawire_using_subcommand serve" -s h -l help -d 'Print help'
complete -c deltawire -n "__fish_deltawire_using_subcommand completions" -s h -l help -d 'Print help'
complete -c deltawire -n "__fish_deltawire_using_subcommand man" -s h -l help -d 'Print help'
