from suffice.cli import main

main()
