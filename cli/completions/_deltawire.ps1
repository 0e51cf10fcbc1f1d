
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'deltawire' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'deltawire'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'deltawire' {
            [CompletionResult]::new('--piece', '--piece', [CompletionResultType]::ParameterName, 'Feed pieces of N bytes')
            [CompletionResult]::new('--pieces', '--pieces', [CompletionResultType]::ParameterName, 'Feed pieces of the lengths in this file, one a line')
            [CompletionResult]::new('--last-event-id', '--last-event-id', [CompletionResultType]::ParameterName, 'The last event ID to begin with')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Print each Server-Sent Event, and a last line for the rest of the stream')
            [CompletionResult]::new('--chunks', '--chunks', [CompletionResultType]::ParameterName, 'Print each payload: chunk, done, error, malformed, other, comment')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Print completion, outcome, whether it is whole and why not, error, tokens, counts')
            [CompletionResult]::new('--salvage', '--salvage', [CompletionResultType]::ParameterName, 'Accept a last event that lacks its blank line')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('view', 'view', [CompletionResultType]::ParameterValue, 'Print the completion of a stream (default)')
            [CompletionResult]::new('replay', 'replay', [CompletionResultType]::ParameterValue, 'Write a completion as a stream')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Serve recorded streams, and misbehave on demand (needs the feature serve)')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print the completions of a shell')
            [CompletionResult]::new('man', 'man', [CompletionResultType]::ParameterValue, 'Print a man page: deltawire man | man -l -')
            break
        }
        'deltawire;view' {
            [CompletionResult]::new('--piece', '--piece', [CompletionResultType]::ParameterName, 'Feed pieces of N bytes')
            [CompletionResult]::new('--pieces', '--pieces', [CompletionResultType]::ParameterName, 'Feed pieces of the lengths in this file, one a line')
            [CompletionResult]::new('--last-event-id', '--last-event-id', [CompletionResultType]::ParameterName, 'The last event ID to begin with')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Print each Server-Sent Event, and a last line for the rest of the stream')
            [CompletionResult]::new('--chunks', '--chunks', [CompletionResultType]::ParameterName, 'Print each payload: chunk, done, error, malformed, other, comment')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Print completion, outcome, whether it is whole and why not, error, tokens, counts')
            [CompletionResult]::new('--salvage', '--salvage', [CompletionResultType]::ParameterName, 'Accept a last event that lacks its blank line')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'deltawire;replay' {
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Tokens a second, each counted as 4 bytes of text')
            [CompletionResult]::new('--delta', '--delta', [CompletionResultType]::ParameterName, 'Most bytes of text in an event')
            [CompletionResult]::new('--no-pace', '--no-pace', [CompletionResultType]::ParameterName, 'Write all events at once')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'deltawire;serve' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'With port 0 a free one, which is printed')
            [CompletionResult]::new('--piece', '--piece', [CompletionResultType]::ParameterName, 'Pieces of N bytes, or: event, whole, recorded, random [event]')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Another random [1]')
            [CompletionResult]::new('--gap', '--gap', [CompletionResultType]::ParameterName, 'Milliseconds between pieces [0]')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Milliseconds before the first piece [0]')
            [CompletionResult]::new('--cut', '--cut', [CompletionResultType]::ParameterName, 'Close the connection behind N bytes')
            [CompletionResult]::new('--stall', '--stall', [CompletionResultType]::ParameterName, 'Send nothing more behind N bytes')
            [CompletionResult]::new('--end', '--end', [CompletionResultType]::ParameterName, 'End the body properly behind N bytes')
            [CompletionResult]::new('--error', '--error', [CompletionResultType]::ParameterName, 'An error event in place of all events from byte N on')
            [CompletionResult]::new('--type', '--type', [CompletionResultType]::ParameterName, 'Send this content type; none sends none')
            [CompletionResult]::new('--status', '--status', [CompletionResultType]::ParameterName, 'Send this status, and an error in JSON')
            [CompletionResult]::new('--gzip', '--gzip', [CompletionResultType]::ParameterName, 'Compress, for any request')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'deltawire;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'deltawire;man' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
