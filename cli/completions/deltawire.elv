
use builtin;
use str;

set edit:completion:arg-completer[deltawire] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'deltawire'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'deltawire'= {
            cand --piece 'Feed pieces of N bytes'
            cand --pieces 'Feed pieces of the lengths in this file, one a line'
            cand --last-event-id 'The last event ID to begin with'
            cand --events 'Print each Server-Sent Event, and a last line for the rest of the stream'
            cand --chunks 'Print each payload: chunk, done, error, malformed, other, comment'
            cand --report 'Print completion, outcome, whether it is whole and why not, error, tokens, counts'
            cand --salvage 'Accept a last event that lacks its blank line'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand view 'Print the completion of a stream (default)'
            cand replay 'Write a completion as a stream'
            cand serve 'Serve recorded streams, and misbehave on demand (needs the feature serve)'
            cand completions 'Print the completions of a shell'
            cand man 'Print a man page: deltawire man | man -l -'
        }
        &'deltawire;view'= {
            cand --piece 'Feed pieces of N bytes'
            cand --pieces 'Feed pieces of the lengths in this file, one a line'
            cand --last-event-id 'The last event ID to begin with'
            cand --events 'Print each Server-Sent Event, and a last line for the rest of the stream'
            cand --chunks 'Print each payload: chunk, done, error, malformed, other, comment'
            cand --report 'Print completion, outcome, whether it is whole and why not, error, tokens, counts'
            cand --salvage 'Accept a last event that lacks its blank line'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'deltawire;replay'= {
            cand --rate 'Tokens a second, each counted as 4 bytes of text'
            cand --delta 'Most bytes of text in an event'
            cand --no-pace 'Write all events at once'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'deltawire;serve'= {
            cand --listen 'With port 0 a free one, which is printed'
            cand --piece 'Pieces of N bytes, or: event, whole, recorded, random [event]'
            cand --seed 'Another random [1]'
            cand --gap 'Milliseconds between pieces [0]'
            cand --wait 'Milliseconds before the first piece [0]'
            cand --cut 'Close the connection behind N bytes'
            cand --stall 'Send nothing more behind N bytes'
            cand --end 'End the body properly behind N bytes'
            cand --error 'An error event in place of all events from byte N on'
            cand --type 'Send this content type; none sends none'
            cand --status 'Send this status, and an error in JSON'
            cand --gzip 'Compress, for any request'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'deltawire;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'deltawire;man'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
